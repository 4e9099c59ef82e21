/*
 * Parallax, the C interface: the only public header, C11, and the input from which the Java bindings are generated.
 *
 * Ownership. Every plx_*_create, _load and _make has a matching _release; releasing NULL does nothing. A borrowed
 * pointer says how long it lives. Strings passed in are UTF-8, NUL-terminated and copied before the call returns.
 *
 * Errors. A call that can fail returns plx_status*: NULL is success, otherwise the caller releases it. Results come
 * last, as out_*, and are written on success only. No C++ exception leaves this interface.
 *
 * Threads. Engines, models and plans may be used from any number of threads. A session serialises its own calls:
 * two threads that run one session run one after the other. Releasing an object while another thread is inside a call
 * on it is the caller's mistake, with one exception: children keep their parents alive (a session its model, a model
 * its engine), so parents may be released first.
 *
 * Option structs start with struct_size = sizeof(the struct), so that a newer library accepts an older caller; all
 * other fields may be zero, which means the default.
 */
#ifndef PLX_PLX_H
#define PLX_PLX_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define PLX_API __attribute__((visibility("default")))
#else
#define PLX_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Raised whenever a function, struct or meaning below changes incompatibly. */
#define PLX_ABI_VERSION 1

typedef struct plx_status plx_status;
typedef struct plx_text plx_text;
typedef struct plx_engine plx_engine;
typedef struct plx_model plx_model;
typedef struct plx_plan plx_plan;
typedef struct plx_session plx_session;
typedef struct plx_value plx_value;

/* What kind of thing went wrong; the message names the thing and the fix. */
enum plx_code {
  PLX_OK = 0,
  PLX_INVALID_ARGUMENT = 1, /* a wrong name, shape, element type, option or state of the call */
  PLX_NOT_FOUND = 2,        /* a file or library that is not there */
  PLX_INVALID_MODEL = 3,    /* bytes that are not a well-formed ONNX model, or a model that contradicts itself */
  PLX_UNSUPPORTED = 4,      /* a sound model that needs an operator, opset or feature that is not there */
  PLX_LIBRARY = 5,          /* ONNX Runtime is missing, too old, or differs from what is already loaded */
  PLX_MEMORY_BUDGET = 6,    /* more bytes needed than the budget leaves; the message names both */
  PLX_RUN_FAILED = 7,       /* an operator failed while running; the session stays usable */
  PLX_CLOSED = 8,           /* the object was closed */
  PLX_INVALID_PLAN = 9,     /* a plan or schedule that the validator refuses */
  PLX_IO = 10,              /* the operating system refused a read, write or mapping */
  PLX_INTERNAL = 11         /* a defect in Parallax */
};

/* Element types, numbered as in ONNX's TensorProto.DataType. */
enum plx_element_type {
  PLX_UNDEFINED = 0, PLX_FLOAT32 = 1, PLX_UINT8 = 2, PLX_INT8 = 3, PLX_UINT16 = 4, PLX_INT16 = 5, PLX_INT32 = 6,
  PLX_INT64 = 7, PLX_STRING = 8, PLX_BOOL = 9, PLX_FLOAT16 = 10, PLX_FLOAT64 = 11, PLX_UINT32 = 12, PLX_UINT64 = 13,
  PLX_COMPLEX64 = 14, PLX_COMPLEX128 = 15, PLX_BFLOAT16 = 16, PLX_FLOAT8E4M3FN = 17, PLX_FLOAT8E4M3FNUZ = 18,
  PLX_FLOAT8E5M2 = 19, PLX_FLOAT8E5M2FNUZ = 20, PLX_UINT4 = 21, PLX_INT4 = 22
};

/* How finely a graph is cut into units. */
enum plx_units {
  PLX_UNITS_WHOLE = 0,    /* one unit: the graph as given, optimised by ONNX Runtime inside the unit */
  PLX_UNITS_LAYERS = 1,   /* one unit per layer */
  PLX_UNITS_BRANCHES = 2, /* one unit per branch */
  PLX_UNITS_NODES = 3,    /* one unit per node; view operators stay aliases */
  /* Layers that gain from it as narrow units side by side, all others together as wide ones. What gains is measured:
   * plx_plan_make runs the model some 20 times on made-up inputs of the sizes given, node by node. */
  PLX_UNITS_MIXED = 4
};

/* The rule by which a layer's branches are judged worth running together. */
enum plx_rule {
  PLX_RULE_PAPER = 0,  /* section 3.1 to the letter: every branch has N > 2, and Fmax / Fmin <= beta */
  PLX_RULE_RELAXED = 1 /* short branches are set aside to run serially; the rest are grouped by ratio */
};

/* Which of a device's regions run there. */
enum plx_offload {
  PLX_OFFLOAD_AUTO = 0, /* those that are predicted to be faster */
  PLX_OFFLOAD_ALL = 1,  /* all of them */
  PLX_OFFLOAD_NONE = 2
};

/* What a present device's regions are judged by, with PLX_OFFLOAD_AUTO. */
enum plx_profile {
  PLX_PROFILE_MEASURED = 0, /* plx_engine_calibrate's rates, measured when first needed; what they accept is tried once */
  PLX_PROFILE_PAPER = 1     /* the paper's constants and thresholds (section 3.1); nothing is measured */
};

/* ---- versions and errors ---------------------------------------------------------------------------------------- */

/* The PLX_ABI_VERSION this library was built with. Bindings check it before any other call. */
PLX_API uint32_t plx_abi_version(void);
/* Parallax's own version, such as "0.1.0". Static storage. */
PLX_API const char* plx_version(void);

/* The plx_code of a status; PLX_OK for NULL. */
PLX_API int32_t plx_status_code(const plx_status* status);
/* One line of UTF-8 that names the thing and the fix. Lives as long as the status. */
PLX_API const char* plx_status_message(const plx_status* status);
/* With PLX_MEMORY_BUDGET: the bytes asked for and the bytes that were available; otherwise 0. */
PLX_API uint64_t plx_status_requested_bytes(const plx_status* status);
PLX_API uint64_t plx_status_available_bytes(const plx_status* status);
PLX_API void plx_status_release(plx_status* status);

/* UTF-8 text with a length; NUL-terminated too. The pointer lives as long as the text. */
PLX_API const char* plx_text_data(const plx_text* text);
PLX_API size_t plx_text_size(const plx_text* text);
PLX_API void plx_text_release(plx_text* text);

/* ---- engine ------------------------------------------------------------------------------------------------------ */

typedef struct plx_engine_options {
  size_t struct_size;
  /* The ONNX Runtime library to load, a path. It is opened privately (RTLD_LOCAL) and once per process and path. */
  const char* ort_library_path;
  /* Size of the pool all units share, the calling thread included; 0 = one per core. ONNX Runtime has one pool per
   * process: while an engine lives, a second one must ask for 0, for 1 or for the same number. 1 means what it says
   * beside a larger pool, too: sessions of that engine's models run on the calling thread alone. */
  int32_t threads;
  /* What ONNX Runtime itself writes to standard error: 0 = nothing but fatal errors, 1 = warnings, 2 = everything. */
  int32_t verbosity;
} plx_engine_options;

PLX_API plx_status* plx_engine_create(const plx_engine_options* options, plx_engine** out_engine);
PLX_API void plx_engine_release(plx_engine* engine);
/* {"parallax":"0.1.0","abi":1,"onnxruntime":"1.29.0","ort_api":21,"threads":2,"ort_library":"...","compiler":"..."} */
PLX_API plx_status* plx_engine_info_json(plx_engine* engine, plx_text** out_text);
/* The accelerators of this machine, and why there are none, if so; needs no engine:
 * {"devices":[{"device":"opencl","name":"Mali-G610 r0p0","driver":"OpenCL 3.0 ...","shares_memory":true,
 *              "work_group":1024,"local_bytes":32768,"memory_bytes":..}],"problem":""} */
PLX_API plx_status* plx_devices_json(plx_text** out_text);

/* Tries what a device's (as in plx_plan_options.device) kernels are to be built for, and measures what it and the CPU beside it
 * can do, unless that is known already (again != 0: even so): seconds, once per device, driver, kernels, processor, thread
 * count and version of ONNX Runtime, kept in parallax/ in XDG_CACHE_HOME or ~/.cache. Rates are MAC/s of "convolution" and "product", B/s of the rest:
 * {"device":"opencl","latency_s":2e-4,"border_bytes_per_s":1e10,"device_rates":{"launch_s":1e-5,"convolution":..,"product":..,
 *  "thin":..,"elementwise":..,"rows":..,"movement":..},"cpu_rates":{..},"kernels":"vectors of 4, 8 rows an item",
 *  "kernels_ratio":0.9,"file":"...","took_s":0}; kernels_ratio: the time of these kernels to that of those that follow from the
 * device's limits; 1 where nothing was faster, or there was no time to try; 0 for what there is nothing to choose of. What was found is kept there, too, and used by whoever opens the device next. */
PLX_API plx_status* plx_engine_calibrate(plx_engine* engine, const char* device, int32_t again, plx_text** out_text);

/* ---- model ------------------------------------------------------------------------------------------------------- */

/* Packing costs a copy of the weights in memory and makes matrix products faster. The last bits of outputs depend on it.
 * plx_session_report_json tells what it took (sessions_bytes). */
enum plx_prepack {
  PLX_PREPACK_ALL = 0,   /* what ONNX Runtime does by default */
  PLX_PREPACK_HEAVY = 1, /* only for units with a megabyte of weights or more */
  PLX_PREPACK_NONE = 2
};

typedef struct plx_model_options {
  size_t struct_size;
  /* Folder in which external data of a model loaded from memory is looked for; NULL = external data is an error.
   * For a model loaded from a file it is that file's folder and this field is ignored. */
  const char* base_directory;
  /* Shared libraries with custom operators, registered with every ONNX Runtime session of this model. */
  const char* const* custom_op_libraries;
  size_t custom_op_library_count;
  /* ONNX Runtime session config entries, applied to every ONNX Runtime session of this model. */
  const char* const* config_keys;
  const char* const* config_values;
  size_t config_count;
  /* Symbolic dimensions fixed by name (AddFreeDimensionOverrideByName), before optimisation. */
  const char* const* dimension_names;
  const int64_t* dimension_values;
  size_t dimension_count;
  /* External data lies in the model's folder or below. Where a symbolic link in it leads elsewhere, as in a cache that keeps
   * files by their checksums, the data may lie in one of these folders too. */
  const char* const* data_folders;
  size_t data_folder_count;
  /* How much a model may ask for; more is PLX_INVALID_MODEL. 0 = the default. */
  uint64_t max_model_bytes;    /* of the ONNX file itself; 2 GiB less one, where protobuf ends as well */
  uint64_t max_weight_bytes;   /* of all constants, external data included; 64 GiB */
  /* Of constants that do not stand in the model but are computed from it when it is loaded (sparse tensors made dense, nodes
   * that read constants only), beyond eight times the weights; 1 GiB, and no single one may be larger than that. */
  uint64_t max_constant_bytes;
  uint64_t max_nodes;          /* subgraphs, and functions at each of their calls, included; 200,000 */
  int32_t max_depth;           /* of subgraphs in subgraphs; 32, where ONNX Runtime's parser ends as well; 64 at most */
  /* A plx_prepack: which weights ONNX Runtime packs for its kernels, a second copy of each in memory, or in cache_folder. */
  int32_t prepack;
  /* A folder for units with weights that ONNX Runtime has packed, and for the graph they are cut from: written by the first
   * session, mapped by all later ones of any process, which then load faster and take no memory for packed weights that the
   * system could not drop. As large as the weights twice, or thrice where they stand in the model's own file; bound to the
   * model's files as they are, to the CPU and to ONNX Runtime's version. Made if it is not there; PLX_INVALID_ARGUMENT if
   * others may write to it, and for a model in memory. NULL or "" = none. */
  const char* cache_folder;
} plx_model_options;

/* Reads and checks an ONNX model. Weights are mapped, not read. options may be NULL. */
PLX_API plx_status* plx_model_load_file(plx_engine* engine, const char* path, const plx_model_options* options,
                                        plx_model** out_model);
/* The same from size_bytes at data, which must stay readable and unchanged until the model and its sessions are
 * released. */
PLX_API plx_status* plx_model_load_memory(plx_engine* engine, const void* data, size_t size_bytes,
                                          const plx_model_options* options, plx_model** out_model);
PLX_API void plx_model_release(plx_model* model);
/* {"name":..,"ir_version":8,"opsets":{"":17},"producer":..,"nodes":480,"initializer_bytes":12700000,
 *  "inputs":[{"name":"images","kind":"tensor","type":1,"shape":[1,3,640,640]}],
 *  "outputs":[{"name":"y","kind":"tensor","type":1,"shape":["batch",-1,384]}]}
 * A dimension is a number, a symbol's name, or -1 where nothing is known; shape is null where the rank is not known.
 * kind is tensor, sequence, optional, map or sparse_tensor. */
PLX_API plx_status* plx_model_info_json(plx_model* model, plx_text** out_text);

/* ---- plan -------------------------------------------------------------------------------------------------------- */

typedef struct plx_plan_options {
  size_t struct_size;
  int32_t units;     /* plx_units */
  int32_t rule;      /* plx_rule */
  double beta;       /* largest Fmax / Fmin within a parallel layer; 0 = 1.5, the paper's */
  int32_t min_nodes; /* a branch runs in parallel only with N >= min_nodes; 0 = 3, the paper's N > 2 */
  /* 1 = estimate FLOPs and bytes with PLX_UNITS_WHOLE too, which costs a shape inference; cut plans always do. */
  int32_t estimate;
  /* The device whose delegate regions are sought: NULL or "" = none; "opencl", or "opencl:1" for the second one of
   * plx_devices_json, where they then run, at the sizes below, and at others as far as those do not reach them; "gpu" =
   * the built-in declaration; else the JSON text of one: {"name":..,"operators":[..],"min_nodes":3,"min_macs":1e9,"max_bytes_per_mac":0.1,
   * "latency_s":2e-4,"r_acc":2.6e13,"b_bw":51.2e9,"r_cpu":1e9}. A device that is declared need not be present. */
  const char* device;
  /* Sizes at which FLOPs and bytes are estimated, one per graph input that has open dimensions: names, ranks, and
   * all dims one after the other. An input not named takes 1 for every open dimension. */
  const char* const* shape_names;
  const size_t* shape_ranks;
  const int64_t* shape_dims;
  size_t shape_count;
  int32_t offload;  /* plx_offload */
  int32_t profile;  /* plx_profile */
  /* Where operators and regions run whatever that costs, one after the other: "Conv=cpu,Softmax=device,region 3=cpu". Later
   * ones count more than earlier ones, and all of them more than `offload`. Operators outside ai.onnx are "domain:Op";
   * regions are numbered as in the plan made with the same operators placed. NULL or "" = none. What names nothing that
   * there is gives PLX_INVALID_ARGUMENT. */
  const char* placements;
} plx_plan_options;

/* Cuts the model. Plans are immutable, independent of sessions, and checked by the validator before they are handed
 * out. options may be NULL. */
PLX_API plx_status* plx_plan_make(plx_model* model, const plx_plan_options* options, plx_plan** out_plan);
/* Reads a plan back; PLX_INVALID_PLAN unless it was made for this very model and passes the validator. Regions run again on
 * the device that was there, at the same sizes; PLX_NOT_FOUND if it is not there now. */
PLX_API plx_status* plx_plan_from_json(plx_model* model, const char* json, size_t size_bytes, plx_plan** out_plan);
/* The plan, which plx_plan_from_json takes back. */
PLX_API plx_status* plx_plan_to_json(plx_plan* plan, plx_text** out_text);
/* The tensors that lie outside units, by name: {"x":{"type":"float32","shape":["batch","2*sequence+1",768,"?"]}}
 * A dimension is a number; a symbol of the model's inputs or a formula (s, a*s, s+b, a*s+b, s*t, a*s*t); or "?" where
 * none fits. An input's open dimension without a symbol is called "x.1", after input and axis, and the second of the
 * same symbol within one input "batch#2". shape is null where the rank is not known; type is an element type, or the
 * kind of what is no tensor. Formulas fit what ONNX Runtime infers at three sets of sizes; the first call for a model's
 * cut plans costs these inferences, once. Plans of PLX_UNITS_WHOLE, and plans whose model was released, tell what the
 * model declares. */
PLX_API plx_status* plx_plan_tensors_json(plx_plan* plan, plx_text** out_text);
/* The plan as a person reads it. */
PLX_API plx_status* plx_plan_to_text(plx_plan* plan, plx_text** out_text);
PLX_API size_t plx_plan_unit_count(const plx_plan* plan);
PLX_API void plx_plan_release(plx_plan* plan);

/* ---- schedule ---------------------------------------------------------------------------------------------------- */

#define PLX_SCHEDULE_MAGIC 0x48435350u /* "PSCH" */

/* A schedule is one flat block: this header, then unit_count entries in the order in which units start. */
typedef struct plx_schedule_header {
  uint32_t magic;               /* PLX_SCHEDULE_MAGIC */
  uint32_t version;             /* 1 */
  uint32_t unit_count;          /* entries that follow: every unit of the plan exactly once */
  uint32_t reserved;            /* 0 */
  /* Units start together only if the plan's estimates of their peak memory fit into it; one alone always starts. 0 = none */
  uint64_t memory_budget_bytes;
} plx_schedule_header;

typedef struct plx_schedule_entry {
  uint32_t unit;    /* index of the unit in the plan */
  uint32_t device;  /* 0 = CPU; 1 = the plan's device, for units that are delegate regions */
  uint32_t threads; /* 1 = narrow: one thread, beside other narrow units; 0 = wide: all threads of the pool, alone */
  uint32_t barrier; /* 1 = everything before this entry has finished before it starts */
} plx_schedule_entry;

/* ---- values ------------------------------------------------------------------------------------------------------ */

/* One tensor as it lies in memory: contiguous, row-major, little-endian. */
typedef struct plx_tensor {
  void* data;           /* NULL for an empty tensor and for strings */
  uint64_t size_bytes;
  const int64_t* dims;  /* rank of them */
  uint64_t rank;
  int32_t element_type; /* plx_element_type */
  int32_t reserved;
} plx_tensor;

/* What a value is. An optional with content is its content; without any it is PLX_KIND_NONE. */
enum plx_kind { PLX_KIND_NONE = 0, PLX_KIND_TENSOR = 1, PLX_KIND_SEQUENCE = 2, PLX_KIND_MAP = 3 };

/* A plx_value is an immutable copy of something a model takes or gives, of any kind, and depends on nothing: neither on
 * the session it came from nor on what it was made of. Values may be shared by threads. */

PLX_API plx_status* plx_value_make_none(plx_value** out_value);
PLX_API plx_status* plx_value_make_tensor(const plx_tensor* tensor, plx_value** out_value);
/* A string tensor, given as for plx_session_bind_input_strings. */
PLX_API plx_status* plx_value_make_strings(const int64_t* dims, size_t rank, const char* bytes, size_t bytes_size,
                                           const size_t* offsets, plx_value** out_value);
PLX_API plx_status* plx_value_make_sequence(const plx_value* const* elements, size_t count, plx_value** out_value);
/* Keys and values are tensors of one dimension and the same size: value i belongs to key i. */
PLX_API plx_status* plx_value_make_map(const plx_value* keys, const plx_value* values, plx_value** out_value);
/* A plx_kind; PLX_KIND_NONE for NULL. */
PLX_API int32_t plx_value_kind(const plx_value* value);
/* The parts a value has: a sequence's elements, in their order; a map's keys and its values, which are two; else 0. */
PLX_API size_t plx_value_count(const plx_value* value);
PLX_API plx_status* plx_value_part(const plx_value* value, size_t index, plx_value** out_part);
/* Describes a tensor. data and dims live as long as the value. */
PLX_API plx_status* plx_value_tensor(const plx_value* value, plx_tensor* out_tensor);
/* Content of a string tensor: {"strings":[...]}. */
PLX_API plx_status* plx_value_strings(const plx_value* value, plx_text** out_text);
PLX_API void plx_value_release(plx_value* value);

/* ---- session ----------------------------------------------------------------------------------------------------- */

typedef struct plx_session_options {
  size_t struct_size;
  int32_t threads; /* 1 = this session runs on the calling thread alone; 0 = on as many as the engine has; no other */
  int32_t reserved; /* 0 */
  /* The first schedule, as for plx_session_set_schedule, so that units are compiled as wide as it wants them and no
   * other way. NULL = the plan's own order, with all threads. */
  const void* schedule;
  size_t schedule_bytes;
  /* Sets of input shapes whose memory plans are kept, the least recently used goes first; 0 = 16. */
  size_t shapes_kept;
  /* What the session may add to what the process takes, in bytes; 0 = no limit: its tensors and its units' temporaries, and
   * some 230 KB and 1.8 KB a unit for what ONNX Runtime and the plan take by malloc. Less runs side by side where that is
   * needed to keep it; a run that cannot keep it at all is PLX_MEMORY_BUDGET, and the
   * session stays usable. Weights, packed or not, are not counted: sessions share them. */
  uint64_t memory_budget_bytes;
  /* In place of a number: the budget is what the session has taken and all but this part of what the machine has free, by
   * MemAvailable and the limits of memory control groups, half of that while tasks wait for memory (PSI). Looked at before
   * runs and units, at most every 50 ms. 0 < memory_margin < 1, 0.4 for example; 0 = no. PLX_UNSUPPORTED if the system does
   * not say what is free. */
  double memory_margin;
} plx_session_options;

typedef struct plx_run_info {
  size_t struct_size;
  /* Changes whenever an output's address, shape or type differs from the previous run's. */
  uint64_t outputs_generation;
  /* 0 before a run. Who wants this very run to stop, whether it has begun or not, raises it (any thread, atomically)
   * and then calls plx_session_cancel. It is read when the run begins. */
  int32_t stop;
  int32_t reserved; /* 0 */
} plx_run_info;

/* Compiles the plan's units. Cheap to repeat: sessions of one model share weights and plans. A plan made by another
 * model is PLX_INVALID_ARGUMENT. options may be NULL. */
PLX_API plx_status* plx_session_create(plx_model* model, plx_plan* plan, const plx_session_options* options,
                                       plx_session** out_session);
/* A further session with the plan, schedule and options of this one, whose runs may go on at the same time: for requests in
 * a stream. They take turns on the CPU: no more of their units run there at a time than one of them has threads, and the run
 * that began first goes first, while the device works for others; one that is back from the device does not even wait for the
 * end of a younger one's unit. Its memory is its own, and so is its budget: memory_budget_bytes in place of that session's
 * number, 0 = the same. Either may be released first. */
PLX_API plx_status* plx_session_create_beside(plx_session* session, uint64_t memory_budget_bytes,
                                              plx_session** out_session);
PLX_API void plx_session_release(plx_session* session);
/* Takes another schedule (copied): PLX_INVALID_PLAN unless it holds every unit once, no unit before what it reads. Units
 * that it wants in a width they do not have yet are compiled. */
PLX_API plx_status* plx_session_set_schedule(plx_session* session, const void* block, size_t size_bytes);
/* Binds caller-owned memory (aligned to its element size, best to 64 bytes) to graph input `index`; the memory must stay
 * valid until bound anew or released, the plx_tensor and its dims are copied. Element type and shape are checked
 * against the model. A later run reads what is there then. */
PLX_API plx_status* plx_session_bind_input(plx_session* session, size_t index, const plx_tensor* tensor);
/* Binds a string tensor: bytes_size bytes of UTF-8 cut at the offsets, one per element; copied. */
PLX_API plx_status* plx_session_bind_input_strings(plx_session* session, size_t index, const int64_t* dims,
                                                   size_t rank, const char* bytes, size_t bytes_size,
                                                   const size_t* offsets);
/* Binds a value of any kind, which is copied: the only way for what is no tensor. PLX_INVALID_ARGUMENT, naming what is
 * wanted, if it is not of the input's type. */
PLX_API plx_status* plx_session_bind_input_value(plx_session* session, size_t index, const plx_value* value);
/* Has output `index` written to the caller's memory (the plx_tensor and its dims are copied); a run fails with
 * PLX_INVALID_ARGUMENT, naming both shapes, if the output's shape turns out different. tensor NULL gives the output back
 * to the session. */
PLX_API plx_status* plx_session_bind_output(plx_session* session, size_t index, const plx_tensor* tensor);
/* Runs on the calling thread and the pool. Every input must be bound. info may be NULL. */
PLX_API plx_status* plx_session_run(plx_session* session, plx_run_info* info);
/* Describes output `index` of the last successful run. data and dims live until the next run, the next
 * plx_session_bind_output, plx_session_set_schedule or the release. PLX_UNSUPPORTED for what is no tensor. */
PLX_API plx_status* plx_session_output(plx_session* session, size_t index, plx_tensor* out_tensor);
/* Content of a string output: {"strings":[...]}. */
PLX_API plx_status* plx_session_output_strings(plx_session* session, size_t index, plx_text** out_text);
/* A copy of output `index` of the last successful run, of whatever kind; PLX_UNSUPPORTED for a sparse tensor. */
PLX_API plx_status* plx_session_output_value(plx_session* session, size_t index, plx_value** out_value);
/* What ran where in the last run, and the memory it took:
 * {"runs":3,"device":null,"units":[{"unit":0,"device":"cpu","threads":2,"worker":0,"start_ns":0,"end_ns":10,"bytes":64,
 *                     "memory_bytes":0}],
 *  "arena_bytes":..,"arena_high_water_bytes":..,"memory_budget_bytes":0,"barriers_for_memory":0,"reruns_for_memory":0,
 *  "outside_bytes":0,"limits_followed":0,"sessions_bytes":..,"runtime_arena_bytes":..,"runtime_arena_live_bytes":..,
 *  "cache":{"loaded":0,"stored":0,"bytes":0,"problem":""},
 *  "planned_bytes":..,"one_buffer_per_tensor_bytes":..,"lower_bound_bytes":..,"aliases":3,
 *  "units_elided":0,
 *  "shapes_cached":1,"shape_hits":2,"shape_misses":1,"shape_evictions":0,"shapes_planned":1,"layouts_refined":0,
 *  "sizing_ns":90000}
 * device is null, or {"kind":"opencl","name":..,"bytes":..,"fallbacks":0,"problem":""} for a plan with a device: what its
 * regions hold and tensors that cross take, how often the CPU had to run a region, and why the last time. A region's unit has
 * "device_ns", "predicted_ns", "copied_bytes" and "fell_back" beside the others, and the worker -1: how long the device worked
 * for it and how long the plan expected it to (its region's device_s), what was copied to and from the device, and why
 * the CPU ran it, if it did.
 * sessions_bytes is what the process grew by while the units' sessions were made, packed weights for the most part;
 * runtime_arena_bytes what all sessions of the engine have mapped together outside of runs. A unit's memory_bytes is what
 * ONNX Runtime took for it at most while it ran, outputs without a planned place included. barriers_for_memory is how many
 * the budget put into the schedule at the last run's shapes, reruns_for_memory how often a run started over in less memory,
 * outside_bytes what of the budget is set aside for what ONNX Runtime takes by malloc, limits_followed how often layouts
 * were fitted to another limit (memory_margin). aliases are view operators that were no work at all, units_elided those
 * units of the last run that had nothing to do, since their tensors lie in one another. cache: units of the model's sessions whose file in the cache folder was
 * there, or was written, the bytes of these files, and why the last that could not be written was not. Of all runs so far,
 * shape_hits began at input shapes that were known and shape_misses did not; layouts_refined is how many layouts of shapes
 * that had run for seconds were found anew by a longer search; sizing_ns is what shapes cost beside the runs: looking them
 * up, recording, planning and placing them. */
PLX_API plx_status* plx_session_report_json(plx_session* session, plx_text** out_text);
/* What lies where in the session's block at the shapes of the last run, and when:
 * {"order":[0,1],"buffers":[{"kind":"tensor","name":"x","unit":0,"first":0,"last":1,"offset":0,"bytes":64}],
 *  "planned_bytes":..,"one_buffer_per_tensor_bytes":..,"lower_bound_bytes":..,"block_address":..}
 * order: units, as they start; first and last are places in it. A buffer's kind is tensor (between units), output (of the
 * model, in use to the end) or window (what its unit takes while it runs; without a name). Bytes are shared by buffers
 * that are never in use together. What lies in other tensors has no buffer of its own. At block_address, 0 if there is none now, lie planned_bytes until the next run,
 * plx_session_trim, plx_session_set_schedule or the release. PLX_INVALID_ARGUMENT until there is a layout, which takes two
 * runs at the same shapes. */
PLX_API plx_status* plx_session_memory_json(plx_session* session, plx_text** out_text);
/* The planning problem behind that layout, for those who plan: a line "name<TAB>bytes<TAB>first<TAB>last" for each buffer,
 * times counted in steps of the schedule, then a line "index<TAB>index" for each pair that may be in use at the same time
 * although their times are apart. Likewise. */
PLX_API plx_status* plx_session_memory_problem(plx_session* session, plx_text** out_text);
/* Gives the memory of the session's tensors and units back to the system, and says how many bytes that was. The last run's
 * outputs are gone with it; the next run takes what it needs anew. Memory that callers bound is theirs. */
PLX_API plx_status* plx_session_trim(plx_session* session, uint64_t* out_bytes);
/* Asks a run in progress to stop at the next unit or operator, also inside loops; it then fails with PLX_RUN_FAILED,
 * and the next run starts afresh. A run whose last operator has ended succeeds. Between runs it does nothing: see
 * plx_run_info.stop for requests that must not come too early, such as those of a time limit. Any thread. */
PLX_API void plx_session_cancel(plx_session* session);

#ifdef __cplusplus
}
#endif
#endif
