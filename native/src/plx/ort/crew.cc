#include "plx/ort/crew.h"

#include <protozero/pbf_writer.hpp>
#include <string>

#include "plx/graph/onnx_fields.h"
#include "plx/ort/runtime.h"

namespace plx::ort {

namespace {

constexpr const char* kOperator = "Crew";
constexpr const char* kInputs[] = {"task"};
constexpr const char* kOutputs[] = {"nothing"};
constexpr int64_t kOne[] = {1};

// Raised by whoever hands something to another thread, and read by who takes it: ONNX Runtime's own hand-over is there
// too, but ThreadSanitizer cannot see it. Global, so that it is found without reading anything that was handed over.
std::atomic<uint32_t> hand_overs{0};
void hand_over() { hand_overs.fetch_add(1, std::memory_order_acq_rel); }
void take_over() { hand_overs.load(std::memory_order_acquire); }

// The calling thread hands a parking task to the pool: should the pool have it run the task itself, it must not wait.
thread_local bool parking = false;

// A vector of one int64 by that name.
std::string value_info(const char* name) {
  using protozero::pbf_writer;
  namespace onnx = graph::onnx;
  std::string dim;
  pbf_writer{dim}.add_int64(onnx::Dimension::kValue, 1);
  std::string shape;
  pbf_writer{shape}.add_message(onnx::ShapeProto::kDim, dim);
  std::string tensor;
  pbf_writer tensor_writer{tensor};
  tensor_writer.add_int32(onnx::TensorType::kElemType, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64);
  tensor_writer.add_message(onnx::TensorType::kShape, shape);
  std::string type;
  pbf_writer{type}.add_message(onnx::TypeProto::kTensor, tensor);
  std::string info;
  pbf_writer info_writer{info};
  info_writer.add_string(onnx::ValueInfo::kName, name);
  info_writer.add_message(onnx::ValueInfo::kType, type);
  return info;
}

// The model of one node, the operator.
std::string model_bytes() {
  using protozero::pbf_writer;
  namespace onnx = graph::onnx;
  std::string node;
  pbf_writer node_writer{node};
  node_writer.add_string(onnx::NodeProto::kInput, kInputs[0]);
  node_writer.add_string(onnx::NodeProto::kOutput, kOutputs[0]);
  node_writer.add_string(onnx::NodeProto::kName, "crew");
  node_writer.add_string(onnx::NodeProto::kOpType, kOperator);
  node_writer.add_string(onnx::NodeProto::kDomain, Crew::kDomain);
  std::string body;
  pbf_writer body_writer{body};
  body_writer.add_message(onnx::GraphProto::kNode, node);
  body_writer.add_string(onnx::GraphProto::kName, "crew");
  body_writer.add_message(onnx::GraphProto::kInput, value_info(kInputs[0]));
  body_writer.add_message(onnx::GraphProto::kOutput, value_info(kOutputs[0]));
  std::string model;
  pbf_writer model_writer{model};
  model_writer.add_int64(onnx::Model::kIrVersion, 8);
  for (const auto& [domain, version] : {std::pair{"", 17}, std::pair{Crew::kDomain, 1}}) {
    std::string opset;
    pbf_writer opset_writer{opset};
    opset_writer.add_string(onnx::OpsetId::kDomain, domain);
    opset_writer.add_int64(onnx::OpsetId::kVersion, version);
    model_writer.add_message(onnx::Model::kOpsetImport, opset);
  }
  model_writer.add_message(onnx::Model::kGraph, body);
  return model;
}

}  // namespace

Status Crew::Team::parallel(void (*work)(void*, size_t), size_t count, void* argument) const {
  struct Call {
    void (*work)(void*, size_t);
    void* argument;
  } call{work, argument};
  hand_over();
  OrtStatus* status = api_.KernelContext_ParallelFor(
      context_,
      [](void* given, size_t index) {
        take_over();
        const Call& here = *static_cast<const Call*>(given);
        here.work(here.argument, index);
        hand_over();
      },
      count, 0, &call);
  take_over();
  if (status == nullptr) return {};
  const std::string text = api_.GetErrorMessage(status);
  api_.ReleaseStatus(status);
  return fail(Code::kInternal, "ONNX Runtime's pool takes no work: ", text);
}

Result<std::unique_ptr<Crew>> Crew::make(Runtime& runtime) {
  std::unique_ptr<Crew> crew(new Crew(runtime));
  if (auto s = crew->open(); !s) return s.error();
  return crew;
}

Status Crew::open() {
  const OrtApi& api = runtime_.api();
  static_cast<OrtCustomOp&>(operator_) = OrtCustomOp{};
  operator_.api = &api;
  operator_.version = ORT_API_VERSION;
  operator_.GetName = [](const OrtCustomOp*) { return kOperator; };
  operator_.GetExecutionProviderType = [](const OrtCustomOp*) -> const char* { return nullptr; };
  operator_.GetInputType = [](const OrtCustomOp*, size_t) { return ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64; };
  operator_.GetInputTypeCount = [](const OrtCustomOp*) -> size_t { return 1; };
  operator_.GetOutputType = [](const OrtCustomOp*, size_t) { return ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64; };
  operator_.GetOutputTypeCount = [](const OrtCustomOp*) -> size_t { return 1; };
  operator_.GetInputCharacteristic = [](const OrtCustomOp*, size_t) { return INPUT_OUTPUT_REQUIRED; };
  operator_.GetOutputCharacteristic = [](const OrtCustomOp*, size_t) { return INPUT_OUTPUT_REQUIRED; };
  operator_.GetInputMemoryType = [](const OrtCustomOp*, size_t) { return OrtMemTypeDefault; };
  operator_.GetVariadicInputMinArity = [](const OrtCustomOp*) { return 1; };
  operator_.GetVariadicInputHomogeneity = [](const OrtCustomOp*) { return 1; };
  operator_.GetVariadicOutputMinArity = [](const OrtCustomOp*) { return 1; };
  operator_.GetVariadicOutputHomogeneity = [](const OrtCustomOp*) { return 1; };
  operator_.GetStartVersion = [](const OrtCustomOp*) { return 1; };
  operator_.GetEndVersion = [](const OrtCustomOp*) { return 1; };
  // The kernel has no state but the operator's.
  operator_.CreateKernelV2 = [](const OrtCustomOp* op, const OrtApi*, const OrtKernelInfo*, void** kernel) {
    *kernel = const_cast<OrtCustomOp*>(op);
    return OrtStatusPtr{nullptr};
  };
  operator_.KernelDestroy = [](void*) {};
  operator_.KernelComputeV2 = [](void* kernel, OrtKernelContext* context) noexcept -> OrtStatusPtr {
    take_over();
    const auto& self = *static_cast<const Operator*>(static_cast<const OrtCustomOp*>(kernel));
    const OrtApi& functions = *self.api;
    const OrtValue* input = nullptr;
    if (OrtStatus* status = functions.KernelContext_GetInput(context, 0, &input)) return status;
    void* content = nullptr;
    if (OrtStatus* status = functions.GetTensorMutableData(const_cast<OrtValue*>(input), &content)) return status;
    const auto* task = *static_cast<Entrance::Task* const*>(content);
    task->work(task->argument, Team(functions, context));
    OrtValue* output = nullptr;
    return functions.KernelContext_GetOutput(context, 0, kOne, 1, &output);
  };
  const std::string context = "cannot take ONNX Runtime's pool";
  if (auto s = runtime_.check(api.CreateCustomOpDomain(Crew::kDomain, &domain_), context); !s) return s;
  if (auto s = runtime_.check(api.CustomOpDomain_Add(domain_, &operator_), context); !s) return s;
  OrtSessionOptions* options = nullptr;
  if (auto s = runtime_.check(api.CreateSessionOptions(&options), context); !s) return s;
  const Handle<OrtSessionOptions> owner(nullptr, options, api.ReleaseSessionOptions);
  if (auto s = runtime_.check(api.DisablePerSessionThreads(options), context); !s) return s;
  if (auto s = runtime_.check(api.SetSessionGraphOptimizationLevel(options, ORT_DISABLE_ALL), context); !s) return s;
  if (auto s = runtime_.check(api.AddSessionConfigEntry(options, "session.use_env_allocators", "1"), context); !s) return s;
  if (auto s = runtime_.check(api.AddCustomOpDomain(options, domain_), context); !s) return s;
  const std::string model = model_bytes();
  if (auto s = runtime_.check(api.CreateSessionFromArray(runtime_.env(), model.data(), model.size(), options, &session_), context); !s) return s;

  // Two for each pool thread: one may be on its way out of the first when it is parked again.
  for (int i = 0; i < 2 * (runtime_.threads() - 1); ++i) {
    auto berth = std::make_unique<Berth>();
    auto made = entrance();
    if (!made) return made.error();
    berth->crew = this;
    berth->entrance = made.take();
    berth->entrance->task_ = {[](void* argument, const Team&) noexcept {
                                const auto& here = *static_cast<Berth*>(argument);
                                if (!parking) here.crew->tide_.wait(here.ebb.load());
                              },
                              berth.get()};
    berth->input = berth->entrance->input_;
    berth->output = berth->entrance->output_;
    berths_.push_back(std::move(berth));
  }
  return {};
}

Crew::~Crew() {
  {
    std::unique_lock lock(mutex_);
    tide_.fetch_add(1);
    tide_.notify_all();
    empty_.wait(lock, [&] { return parked_ == 0; });
  }
  berths_.clear();
  if (session_ != nullptr) runtime_.api().ReleaseSession(session_);
  if (domain_ != nullptr) runtime_.api().ReleaseCustomOpDomain(domain_);
}

int Crew::parked() const {
  const std::lock_guard lock(mutex_);
  return parked_;
}

Result<std::unique_ptr<Crew::Entrance>> Crew::entrance() {
  const OrtApi& api = runtime_.api();
  std::unique_ptr<Entrance> made(new Entrance(*this));
  const std::string context = "cannot take ONNX Runtime's pool";
  const auto wrap = [&](void* data, OrtValue** out) {
    return runtime_.check(api.CreateTensorWithDataAsOrtValue(runtime_.cpu(), data, sizeof(int64_t), kOne, 1,
                                                             ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64, out), context);
  };
  static_assert(sizeof(void*) == sizeof(int64_t));
  if (auto s = wrap(&made->content_, &made->input_); !s) return s.error();
  if (auto s = wrap(&made->nothing_, &made->output_); !s) return s.error();
  return made;
}

Crew::Entrance::~Entrance() {
  const OrtApi& api = crew_.runtime_.api();
  if (input_ != nullptr) api.ReleaseValue(input_);
  if (output_ != nullptr) api.ReleaseValue(output_);
}

Status Crew::Entrance::enter(Work work, void* argument) {
  task_ = {work, argument};
  hand_over();
  const OrtValue* input = input_;
  OrtValue* output = output_;
  return crew_.runtime_.check(
      crew_.runtime_.api().Run(crew_.session_, nullptr, kInputs, &input, 1, kOutputs, 1, &output),
      "ONNX Runtime's pool cannot be used");
}

void Crew::begin_shift() noexcept {
  const std::lock_guard lock(mutex_);
  if (shifts_++ > 0 || parked_ == 0) return;
  tide_.fetch_add(1);
  tide_.notify_all();
}

void Crew::end_shift() noexcept {
  const int wanted = runtime_.threads() - 1;
  for (int i = 0; i < wanted; ++i) {
    Berth* free = nullptr;
    {
      const std::lock_guard lock(mutex_);
      if (i == 0) --shifts_;
      if (shifts_ > 0) return;
      for (const auto& berth : berths_) {
        if (!berth->taken) free = berth.get();
      }
      // A thread without a berth, or that ONNX Runtime refuses, goes on spinning for as long as it likes to.
      if (free == nullptr) return;
      free->taken = true;
      free->ebb.store(tide_.load());
      ++parked_;
    }
    if (!park(*free)) return;
  }
}

bool Crew::park(Berth& berth) noexcept {
  hand_over();
  parking = true;
  OrtStatus* refused = runtime_.api().RunAsync(
      session_, nullptr, kInputs, &berth.input, 1, kOutputs, 1, &berth.output,
      [](void* user, OrtValue**, size_t, OrtStatusPtr status) {
        auto& left = *static_cast<Berth*>(user);
        if (status != nullptr) left.crew->runtime_.api().ReleaseStatus(status);
        left.crew->leave(left);
      },
      &berth);
  parking = false;
  if (refused == nullptr) return true;
  runtime_.api().ReleaseStatus(refused);
  leave(berth);
  return false;
}

void Crew::leave(Berth& berth) noexcept {
  const std::lock_guard lock(mutex_);  // notified under it: the destructor must not go on before this has ended
  berth.taken = false;
  if (--parked_ == 0) empty_.notify_all();
}

}  // namespace plx::ort
