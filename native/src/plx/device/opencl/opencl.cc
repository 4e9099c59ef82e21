#include "plx/device/opencl/opencl.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstring>
#include <mutex>

#include "plx/base/hasher.h"
#include "plx/base/whole_file.h"
#include "plx/device/lent.h"
#include "plx/device/lowering.h"
#include "plx/device/opencl/api.h"
#include "plx/device/opencl/kernels.h"
#include "plx/device/opencl/tune.h"
#include "plx/device/worker.h"

namespace plx::device::opencl {

namespace {

using Clock = std::chrono::steady_clock;

// Kernels other than the matrix product, by one work group.
constexpr size_t kLinearGroup = 64;

struct Found {
  cl_platform_id platform = nullptr;
  cl_device_id device = nullptr;
};

std::string text_of(const Api& api, cl_device_id device, cl_device_info what) {
  size_t size = 0;
  if (api.clGetDeviceInfo(device, what, 0, nullptr, &size) != CL_SUCCESS || size == 0) return "";
  std::string text(size, '\0');
  if (api.clGetDeviceInfo(device, what, size, text.data(), nullptr) != CL_SUCCESS) return "";
  return text.c_str();
}

template <class T>
T number_of(const Api& api, cl_device_id device, cl_device_info what, T otherwise = {}) {
  T number = otherwise;
  return api.clGetDeviceInfo(device, what, sizeof number, &number, nullptr) == CL_SUCCESS ? number : otherwise;
}

std::vector<Found> find(const Api& api) {
  cl_uint platforms = 0;
  std::vector<Found> all;
  if (api.clGetPlatformIDs(0, nullptr, &platforms) != CL_SUCCESS || platforms == 0) return all;
  std::vector<cl_platform_id> ids(platforms);
  api.clGetPlatformIDs(platforms, ids.data(), nullptr);
  for (const cl_platform_id platform : ids) {
    cl_uint count = 0;
    if (api.clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 0, nullptr, &count) != CL_SUCCESS) continue;
    std::vector<cl_device_id> devices(count);
    api.clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, count, devices.data(), nullptr);
    for (const cl_device_id device : devices) all.push_back({platform, device});
  }
  return all;
}

Info describe(const Api& api, cl_device_id device) {
  Info info;
  info.kind = "opencl";
  Hasher kernels;
  kernels.add(kKernels);
  info.kernels = kernels.text();
  info.name = text_of(api, device, CL_DEVICE_NAME);
  info.driver = text_of(api, device, CL_DEVICE_VERSION) + ", " + text_of(api, device, CL_DRIVER_VERSION);
  info.shares_memory = number_of<cl_bool>(api, device, CL_DEVICE_HOST_UNIFIED_MEMORY) == CL_TRUE;
  info.is_cpu = (number_of<cl_device_type>(api, device, CL_DEVICE_TYPE) & CL_DEVICE_TYPE_CPU) != 0;
  info.compute_units = number_of<cl_uint>(api, device, CL_DEVICE_MAX_COMPUTE_UNITS);
  info.work_group = number_of<size_t>(api, device, CL_DEVICE_MAX_WORK_GROUP_SIZE);
  info.local_bytes = number_of<cl_ulong>(api, device, CL_DEVICE_LOCAL_MEM_SIZE);
  info.memory_bytes = number_of<cl_ulong>(api, device, CL_DEVICE_GLOBAL_MEM_SIZE);
  return info;
}

bool is_pocl(const Api& api, cl_platform_id platform) {
  char name[64] = "";
  return api.clGetPlatformInfo(platform, CL_PLATFORM_NAME, sizeof name - 1, name, nullptr) == CL_SUCCESS &&
         std::string_view(name) == "Portable Computing Language";
}

Error failed(const std::string& what, cl_int error) { return fail(Code::kRunFailed, "OpenCL: ", what, ": ", error_name(error)); }

// What a handle of OpenCL's is let go by.
template <class T, cl_int (*Api::*release)(T)>
class Handle {
 public:
  Handle() = default;
  Handle(const Api* api, T value) : api_(api), value_(value) {}
  Handle(Handle&& other) noexcept : api_(other.api_), value_(std::exchange(other.value_, nullptr)) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(api_, other.api_);
    std::swap(value_, other.value_);
    return *this;
  }
  ~Handle() {
    if (value_ != nullptr) (api_->*release)(value_);
  }
  T get() const { return value_; }
  explicit operator bool() const { return value_ != nullptr; }
  // Never let go: a device that hangs may still use it.
  void leak() { value_ = nullptr; }

 private:
  const Api* api_ = nullptr;
  T value_ = nullptr;
};
using Context = Handle<cl_context, &Api::clReleaseContext>;
using Queue = Handle<cl_command_queue, &Api::clReleaseCommandQueue>;
using Module = Handle<cl_program, &Api::clReleaseProgram>;
using Kernel = Handle<cl_kernel, &Api::clReleaseKernel>;
using Memory = Handle<cl_mem, &Api::clReleaseMemObject>;
using Event = Handle<cl_event, &Api::clReleaseEvent>;

class ClProgram;
class ClLent;

class ClDevice final : public Device, public std::enable_shared_from_this<ClDevice> {
 public:
  ClDevice(const Api& api, Found found, Options options) : api(api), options(std::move(options)), found_(found), info_(describe(api, found.device)) {
    if (this->options.most_work_group != 0) info_.work_group = std::min(info_.work_group, this->options.most_work_group);
    if (this->options.most_local_bytes != 0) info_.local_bytes = std::min(info_.local_bytes, this->options.most_local_bytes);
    info_.shares_memory = info_.shares_memory && this->options.shares_memory;
    maps_.store(info_.shares_memory);
  }
  ~ClDevice() override {
    worker_.reset();
    if (!lost()) return;
    for (Module& module : modules_) module.leak();
    queue.leak();
    context.leak();
  }

  Status start() {
    if (auto s = choose_tuning(); !s) return s;
    alignment = std::max<uint64_t>(64, number_of<cl_uint>(api, found_.device, CL_DEVICE_MEM_BASE_ADDR_ALIGN, 1024) / 8);
    cl_int error = CL_SUCCESS;
    const cl_context_properties properties[] = {CL_CONTEXT_PLATFORM, reinterpret_cast<cl_context_properties>(found_.platform), 0};
    context = Context(&api, api.clCreateContext(properties, 1, &found_.device, nullptr, nullptr, &error));
    if (!context) return failed("no context on '" + info_.name + "'", error);
    queue = Queue(&api, api.clCreateCommandQueue(context.get(), found_.device, 0, &error));
    if (!queue) return failed("no queue on '" + info_.name + "'", error);
    if (auto s = module_of(false); !s) return s.error();
    worker_ = std::make_unique<Worker>();
    return {};
  }

  const Info& info() const override { return info_; }
  std::string refuses(const graph::Graph& graph, const graph::Shapes& shapes, graph::NodeId node) const override {
    return why_not(graph, shapes, node);
  }
  Result<std::unique_ptr<Program>> prepare(const Part& part) override;
  Result<std::unique_ptr<Lent>> lend(uint64_t size_bytes, Use use) override;
  bool lost() const override { return lost_.load(); }

  // The kernels, for float16 numbers in memory too; those are built when the first part has some.
  Result<cl_program> module_of(bool halves) {
    const std::lock_guard lock(module_mutex_);
    Module& module = modules_[halves ? 1 : 0];
    if (!module) {
      if (auto s = build(module, halves); !s) return s.error();
    }
    return module.get();
  }

  Status step(const char* what) const { return options.fault ? options.fault(what) : Status{}; }

  // Runs it on the device's thread, after what came before.
  void enqueue(std::function<void()> work) { worker_->enqueue(std::move(work)); }

  // flags say what becomes of the content: CL_MEM_COPY_HOST_PTR or CL_MEM_USE_HOST_PTR.
  Result<opencl::Memory> allocate(uint64_t bytes, cl_mem_flags flags, const void* content = nullptr) {
    if (auto s = step("allocate"); !s) return s.error();
    cl_int error = CL_SUCCESS;
    const uint64_t size = content != nullptr ? bytes : std::max<uint64_t>(bytes, 4);
    opencl::Memory memory(&api, api.clCreateBuffer(context.get(), flags, size, const_cast<void*>(content), &error));
    if (!memory) return failed("no memory for " + std::to_string(bytes) + " bytes on '" + info_.name + "'", error);
    return memory;
  }

  // Until this event has come, or for options.timeout; then the device is lost, as it is if there is no waiting. Commands that
  // may still be on their way are thus those of a lost device only.
  Status wait(Event event) {
    // Shared with the driver's thread, which may come long after we have given up.
    struct Arrival {
      std::mutex mutex;
      std::condition_variable came;
      bool there = false;
      cl_int state = CL_COMPLETE;
    };
    auto arrival = std::make_shared<Arrival>();
    auto held = std::make_unique<std::shared_ptr<Arrival>>(arrival);
    const auto notify = [](cl_event, cl_int state, void* argument) {
      const std::unique_ptr<std::shared_ptr<Arrival>> held(static_cast<std::shared_ptr<Arrival>*>(argument));
      const std::lock_guard lock((*held)->mutex);
      (*held)->there = true;
      (*held)->state = state;
      (*held)->came.notify_all();
    };
    cl_int error = api.clSetEventCallback(event.get(), CL_COMPLETE, +notify, held.get());
    if (error != CL_SUCCESS) return give_up(std::move(event), failed("no callback for a submission", error));
    held.release();
    if (error = api.clFlush(queue.get()); error != CL_SUCCESS) return give_up(std::move(event), failed("the queue cannot be flushed", error));
    std::unique_lock lock(arrival->mutex);
    if (!arrival->came.wait_for(lock, options.timeout, [&] { return arrival->there; })) {
      return give_up(std::move(event), fail(Code::kRunFailed, "OpenCL: '", info_.name, "' has not answered for ", options.timeout.count(),
                                            " ms; it is not used any more"));
    }
    if (auto s = step("wait"); !s) return s;
    return arrival->state < 0 ? failed("a submission failed on '" + info_.name + "'", arrival->state) : Status{};
  }

  const Api& api;
  const Options options;
  Tuning tuning;
  uint64_t alignment = 64;
  Context context;
  Queue queue;

  LentList<ClLent> lent;
  // What is lent from now on is copied.
  void map_no_more() { maps_.store(false); }

 private:
  // A command that is never heard of.
  Error give_up(Event event, Error why) {
    lost_.store(true);
    event.leak();
    return why;
  }

  // The tuning that was asked for, or was kept, or follows from the device's limits.
  Status choose_tuning() {
    const auto fitting = [&](const Tuning& one) { return fits(one, info_.work_group, info_.local_bytes); };
    if (options.tuning) {
      if (!fitting(options.tuning->tuning)) {
        return fail(Code::kInvalidArgument, "OpenCL: '", info_.name, "' cannot have ", to_text(options.tuning->tuning), ": its groups have ",
                    info_.work_group, " work items at most, and ", info_.local_bytes, " bytes of local memory");
      }
      info_.tuning = options.tuning;
    } else if (const auto kept = tried_tuning_from_json(read_whole(tuning_file(options.cache_folder, info_))); kept && fitting(kept->tuning)) {
      info_.tuning = kept;
    } else {
      const auto preferred = number_of<cl_uint>(api, found_.device, CL_DEVICE_PREFERRED_VECTOR_WIDTH_FLOAT, 4);
      const Tuning plain{.vector = preferred >= 16 ? 16 : preferred >= 8 ? 8 : 4};
      // Where local memory is other memory under another name, as on Mali, tiles there are copies and nothing else.
      const bool has_local = number_of<cl_device_local_mem_type>(api, found_.device, CL_DEVICE_LOCAL_MEM_TYPE) == CL_LOCAL;
      info_.tuning = TriedTuning{!info_.is_cpu && has_local ? tiled(plain, info_.work_group, info_.local_bytes) : plain, 0};
    }
    tuning = info_.tuning->tuning;
    return {};
  }

  std::string build_options(bool halves) const {
    std::string flags = "-DVW=" + std::to_string(tuning.vector) + " -DROWS=" + std::to_string(tuning.rows);
    if (tuning.group != 0) flags += " -DGROUP=" + std::to_string(tuning.group) + " -DTILE=" + std::to_string(tuning.tile);
    if (options.only_products) flags += " -DONLY_PRODUCTS";
    return flags + (halves ? " -DHALF" : "");
  }

  static constexpr size_t kHashDigits = 32;  // before the binary in its file
  static std::string hash_of(std::string_view bytes) {
    Hasher hasher;
    hasher.add(bytes);
    return hasher.text();
  }

  std::string cache_file(bool halves) const {
    if (options.cache_folder.empty() || !options.caches.value_or(!is_pocl(api, found_.platform))) return "";
    Hasher hasher;
    hasher.add(info_.name);
    hasher.add(info_.driver);
    hasher.add(build_options(halves));
    hasher.add(kKernels);
    return options.cache_folder + "/opencl-" + hasher.text() + ".bin";
  }

  Status build(Module& module, bool halves) {
    if (auto s = step("build"); !s) return s;
    const std::string file = cache_file(halves);
    const std::string flags = build_options(halves);
    if (!file.empty() && read_built(file, flags, module)) return {};
    const char* source = kKernels;
    const size_t length = std::strlen(kKernels);
    cl_int error = CL_SUCCESS;
    Module built(&api, api.clCreateProgramWithSource(context.get(), 1, &source, &length, &error));
    if (!built) return failed("the kernels' source is refused", error);
    error = api.clBuildProgram(built.get(), 1, &found_.device, flags.c_str(), nullptr, nullptr);
    if (error != CL_SUCCESS) {
      std::string log(4096, '\0');
      size_t size = 0;
      api.clGetProgramBuildInfo(built.get(), found_.device, CL_PROGRAM_BUILD_LOG, log.size(), log.data(), &size);
      log.resize(std::min(log.size(), size));
      const size_t line = log.find("error");
      return fail(Code::kRunFailed, "OpenCL: '", info_.name, "' cannot build the kernels: ", error_name(error), " ",
                  log.substr(line == std::string::npos ? 0 : line, 200).c_str());
    }
    if (!file.empty()) write_built(file, built);
    module = std::move(built);
    return {};
  }

  bool read_built(const std::string& file, const std::string& flags, Module& module) {
    // A driver may end the process over a binary that is damaged (Mesa's rusticl does), so none is shown one.
    const std::string kept = read_whole(file);
    if (kept.size() <= kHashDigits) return false;
    const std::string_view bytes = std::string_view(kept).substr(kHashDigits);
    if (!kept.starts_with(hash_of(bytes))) return false;
    const auto* data = reinterpret_cast<const unsigned char*>(bytes.data());
    const size_t size = bytes.size();
    cl_int state = CL_SUCCESS;
    cl_int error = CL_SUCCESS;
    Module read(&api, api.clCreateProgramWithBinary(context.get(), 1, &found_.device, &size, &data, &state, &error));
    if (!read || state != CL_SUCCESS) return false;
    if (api.clBuildProgram(read.get(), 1, &found_.device, flags.c_str(), nullptr, nullptr) != CL_SUCCESS) return false;
    // A driver may take anything for a binary until it is asked for a kernel.
    Kernel kernel(&api, api.clCreateKernel(read.get(), "multiply", &error));
    if (!kernel) return false;
    module = std::move(read);
    return true;
  }

  // Whole or not at all; that it cannot be written is no error.
  void write_built(const std::string& file, const Module& built) const {
    size_t size = 0;
    if (api.clGetProgramInfo(built.get(), CL_PROGRAM_BINARY_SIZES, sizeof size, &size, nullptr) != CL_SUCCESS || size == 0) return;
    std::string bytes(size, '\0');
    auto* data = reinterpret_cast<unsigned char*>(bytes.data());
    if (api.clGetProgramInfo(built.get(), CL_PROGRAM_BINARIES, sizeof data, &data, nullptr) != CL_SUCCESS) return;
    write_whole(file, hash_of(bytes) + bytes);
  }

  const Found found_;
  Info info_;
  std::mutex module_mutex_;
  Module modules_[2];  // for float32, and for float16 in memory
  std::atomic<bool> lost_{false};
  std::atomic<bool> maps_{false};
  std::unique_ptr<Worker> worker_;
};

// Lent memory as submissions use it, on the device's thread.
class ClLent {
 public:
  virtual cl_mem memory() const = 0;
  // Before the submission's commands, and after them whatever became of those. last: becomes the event of a command that there
  // is to wait for.
  virtual Status give(bool to_read, Outcome& outcome, Event& last) = 0;
  virtual Status take_back(bool made, Outcome& outcome, Event& last) = 0;

 protected:
  ~ClLent() = default;
};

// Of a device that shares the CPU's memory: mapped for the CPU except while a submission uses it. A driver may map it at
// another address than before; what callers know is then of no use any more, and the device maps nothing from then on.
class ClMapped final : public Lent, public ClLent {
 public:
  ClMapped(std::shared_ptr<ClDevice> device, opencl::Memory memory, uint64_t bytes, void* mapped)
      : device_(std::move(device)), memory_(std::move(memory)), bytes_(bytes), data_(static_cast<std::byte*>(mapped)), mapped_(mapped) {
    device_->lent.add(data_, this);
  }
  ~ClMapped() override {
    device_->lent.remove(this);
    if (device_->lost()) memory_.leak();
    else if (mapped_ != nullptr) device_->api.clEnqueueUnmapMemObject(device_->queue.get(), memory_.get(), mapped_, 0, nullptr, nullptr);
  }
  std::byte* data() override { return data_; }
  uint64_t taken_bytes() const override { return bytes_; }
  cl_mem memory() const override { return memory_.get(); }

  Status give(bool, Outcome&, Event&) override {
    const cl_int error = device_->api.clEnqueueUnmapMemObject(device_->queue.get(), memory_.get(), mapped_, 0, nullptr, nullptr);
    if (error != CL_SUCCESS) return failed("lent memory cannot be unmapped", error);
    mapped_ = nullptr;
    return {};
  }
  Status take_back(bool, Outcome& outcome, Event& last) override {
    cl_int error = CL_SUCCESS;
    cl_event event = nullptr;
    mapped_ = device_->api.clEnqueueMapBuffer(device_->queue.get(), memory_.get(), CL_FALSE, CL_MAP_READ | CL_MAP_WRITE, 0, bytes_, 0,
                                              nullptr, &event, &error);
    if (event != nullptr) last = Event(&device_->api, event);
    if (error == CL_SUCCESS && mapped_ == data_) return {};
    outcome.lent_lost = true;
    device_->map_no_more();
    return error != CL_SUCCESS ? Status(failed("lent memory cannot be mapped again", error))
                               : fail(Code::kRunFailed, "OpenCL: the driver has mapped lent memory at another address than before");
  }

 private:
  const std::shared_ptr<ClDevice> device_;
  opencl::Memory memory_;
  const uint64_t bytes_;
  std::byte* const data_;
  void* mapped_;  // null while it is not
};

// Of one that does not, or whose driver does not keep addresses; and what the CPU reads beside a submission.
class ClCopied final : public CopiedLent, public ClLent {
 public:
  ClCopied(std::shared_ptr<ClDevice> device, opencl::Memory memory, uint64_t bytes, Use use)
      : CopiedLent(bytes, use), device_(std::move(device)), memory_(std::move(memory)) {
    device_->lent.add(data(), this);
  }
  ~ClCopied() override {
    device_->lent.remove(this);
    if (!device_->lost()) return;
    memory_.leak();
    host_.leak();
  }
  cl_mem memory() const override { return memory_.get(); }

  Status give(bool to_read, Outcome& outcome, Event& last) override { return to_read ? count(to_device(), outcome, last) : Status{}; }
  Status take_back(bool made_there, Outcome& outcome, Event& last) override { return made_there ? count(made(), outcome, last) : Status{}; }

 private:
  Status count(Result<uint64_t> copied, Outcome& outcome, Event& last) {
    if (!copied) return copied.error();
    outcome.copied_bytes += *copied;
    if (*copied != 0) last = std::move(copy_);
    return {};
  }
  Status write() override {
    if (auto s = device_->step("write"); !s) return s;
    cl_event event = nullptr;
    const cl_int error = device_->api.clEnqueueWriteBuffer(device_->queue.get(), memory_.get(), CL_FALSE, 0, bytes_, host_.get(), 0, nullptr, &event);
    if (error != CL_SUCCESS) return failed("lent memory cannot be written", error);
    copy_ = Event(&device_->api, event);
    return {};
  }
  Status read() override {
    if (auto s = device_->step("read"); !s) return s;
    cl_event event = nullptr;
    const cl_int error = device_->api.clEnqueueReadBuffer(device_->queue.get(), memory_.get(), CL_FALSE, 0, bytes_, host_.get(), 0, nullptr, &event);
    if (error != CL_SUCCESS) return failed("lent memory cannot be read", error);
    copy_ = Event(&device_->api, event);
    return {};
  }
  Status finish() override { return device_->wait(std::move(copy_)); }

  const std::shared_ptr<ClDevice> device_;
  opencl::Memory memory_;
  Event copy_;  // the last one begun
};

Result<std::unique_ptr<Lent>> ClDevice::lend(uint64_t size_bytes, Use use) {
  if (lost()) return fail(Code::kRunFailed, "OpenCL: '", info_.name, "' is lost");
  const uint64_t bytes = std::max<uint64_t>(size_bytes, 4);
  const bool map = maps_ && use != Use::kBeside;  // what is not mapped may be nowhere
  auto memory = allocate(bytes, CL_MEM_READ_WRITE | (map ? CL_MEM_ALLOC_HOST_PTR : 0));
  if (!memory) return memory.error();
  if (!map) return std::unique_ptr<Lent>(new ClCopied(shared_from_this(), memory.take(), bytes, use));
  cl_int error = CL_SUCCESS;
  void* mapped = api.clEnqueueMapBuffer(queue.get(), memory->get(), CL_TRUE, CL_MAP_READ | CL_MAP_WRITE, 0, bytes, 0, nullptr, nullptr, &error);
  if (error != CL_SUCCESS) return failed("lent memory cannot be mapped", error);
  return std::unique_ptr<Lent>(new ClMapped(shared_from_this(), memory.take(), bytes, mapped));
}

class ClProgram final : public Program {
 public:
  ClProgram(std::shared_ptr<ClDevice> device, Lowered lowered) : device_(std::move(device)), api_(device_->api), lowered_(std::move(lowered)) {}

  ~ClProgram() override {
    if (!device_->lost()) return;
    for (auto& memory : memory_) memory.leak();
    temporaries_.leak();
    for (auto& launch : launches_) launch.kernel.leak();
  }

  Status make(const Part& part) {
    memory_.resize(lowered_.tensors.size());
    arguments_.resize(lowered_.tensors.size());
    if (lowered_.temporary_bytes != 0) {
      auto made = device_->allocate(lowered_.temporary_bytes, CL_MEM_READ_WRITE);
      if (!made) return made.error();
      temporaries_ = made.take();
      device_bytes_ += lowered_.temporary_bytes;
    }
    for (size_t i = 0; i < lowered_.tensors.size(); ++i) {
      const Lowered::Tensor& tensor = lowered_.tensors[i];
      switch (tensor.memory) {
        case Lowered::Memory::kConstant: {
          const Lowered::Constant& constant = lowered_.constants[static_cast<size_t>(tensor.index)];
          // What is only arranged is read where it lies.
          const void* content = constant.data != nullptr ? constant.data : constant.own.data();
          const cl_mem_flags how = constant.only_setup ? CL_MEM_USE_HOST_PTR : CL_MEM_COPY_HOST_PTR;
          auto made = constant.bytes == 0 ? device_->allocate(0, CL_MEM_READ_ONLY) : device_->allocate(constant.bytes, CL_MEM_READ_ONLY | how, content);
          if (!made) return made.error();
          memory_[i] = made.take();
          if (!constant.only_setup) device_bytes_ += constant.bytes;
          break;
        }
        case Lowered::Memory::kTemporary: {
          if (tensor.first < 0) break;
          const cl_buffer_region region = {tensor.offset, tensor.bytes};
          cl_int error = CL_SUCCESS;
          memory_[i] = opencl::Memory(&api_, api_.clCreateSubBuffer(temporaries_.get(), CL_MEM_READ_WRITE, CL_BUFFER_CREATE_TYPE_REGION, &region, &error));
          if (!memory_[i]) return failed("a temporary's place is refused", error);
          break;
        }
        case Lowered::Memory::kArranged: {
          auto made = device_->allocate(tensor.bytes, CL_MEM_READ_WRITE);
          if (!made) return made.error();
          memory_[i] = made.take();
          device_bytes_ += tensor.bytes;
          break;
        }
        case Lowered::Memory::kInput:
        case Lowered::Memory::kOutput: break;  // made when a submission comes without lent memory
      }
      arguments_[i] = memory_[i].get();
    }
    in_tensor_.assign(part.inputs.size(), -1);
    out_tensor_.assign(part.outputs.size(), -1);
    for (size_t i = 0; i < lowered_.tensors.size(); ++i) {
      const Lowered::Tensor& tensor = lowered_.tensors[i];
      if (tensor.memory == Lowered::Memory::kInput) in_tensor_[static_cast<size_t>(tensor.index)] = static_cast<int>(i);
      if (tensor.memory == Lowered::Memory::kOutput) out_tensor_[static_cast<size_t>(tensor.index)] = static_cast<int>(i);
    }
    for (const Lowered::Launch& launch : lowered_.setup) {
      auto made = prepare(launch);
      if (!made) return made.error();
      if (auto s = set_tensors(*made, launch); !s) return s;
      if (auto s = go(*made); !s) return s;
    }
    if (const cl_int error = api_.clFinish(device_->queue.get()); error != CL_SUCCESS) return failed("constants cannot be arranged", error);
    for (size_t i = 0; i < lowered_.tensors.size(); ++i) {
      const Lowered::Tensor& tensor = lowered_.tensors[i];
      if (tensor.memory == Lowered::Memory::kConstant && lowered_.constants[static_cast<size_t>(tensor.index)].only_setup) memory_[i] = {};
    }
    for (Lowered::Constant& constant : lowered_.constants) constant = {};
    for (const Lowered::Launch& launch : lowered_.launches) {
      auto made = prepare(launch);
      if (!made) return made.error();
      launches_.push_back(made.take());
    }
    return {};
  }

  void submit(std::span<const std::byte* const> inputs, std::span<std::byte* const> outputs, Completion& completion) override {
    device_->enqueue([this, in = std::vector(inputs.begin(), inputs.end()), out = std::vector(outputs.begin(), outputs.end()), &completion]() mutable {
      inputs_.swap(in);
      outputs_.swap(out);
      Outcome outcome;
      const auto start = Clock::now();
      outcome.status = run(outcome);
      outcome.device_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - start).count();
      // Whoever is told may let go of the program, and of the device.
      const auto device = device_;
      completion.done(std::move(outcome));
    });
  }

  uint64_t device_bytes() const override { return device_bytes_; }

 private:
  struct Ready {
    Kernel kernel;
    size_t items[3] = {1, 1, 1};
    size_t group[3] = {1, 1, 1};
    bool set = false;  // all that does not change from run to run
  };

  Result<Ready> prepare(const Lowered::Launch& launch) {
    Ready ready;
    cl_int error = CL_SUCCESS;
    auto module = device_->module_of(launch.halves);
    if (!module) return module.error();
    ready.kernel = Kernel(&api_, api_.clCreateKernel(*module, launch.kernel, &error));
    if (!ready.kernel) return failed(std::string("no kernel '") + launch.kernel + "'", error);
    auto at = static_cast<cl_uint>(launch.tensors.size());
    for (const int32_t value : launch.ints) {
      if ((error = api_.clSetKernelArg(ready.kernel.get(), at++, sizeof value, &value)) != CL_SUCCESS) return failed(launch.kernel, error);
    }
    for (const float value : launch.floats) {
      if ((error = api_.clSetKernelArg(ready.kernel.get(), at++, sizeof value, &value)) != CL_SUCCESS) return failed(launch.kernel, error);
    }
    const bool product = launch.items[1] != 1 || launch.items[2] != 1;
    const auto most = static_cast<size_t>(device_->info().work_group);
    if (launch.group != 0) ready.group[0] = ready.group[1] = static_cast<size_t>(launch.group);
    else if (!product) ready.group[0] = std::min(kLinearGroup, most);
    else if (!device_->info().is_cpu) {
      ready.group[0] = std::min<size_t>(8, most);
      ready.group[1] = std::min<size_t>(8, most / ready.group[0]);
    }
    for (size_t i = 0; i < 3; ++i) ready.items[i] = (launch.items[i] + ready.group[i] - 1) / ready.group[i] * ready.group[i];
    return ready;
  }

  Status set_tensors(Ready& ready, const Lowered::Launch& launch) {
    for (size_t i = 0; i < launch.tensors.size(); ++i) {
      const auto t = static_cast<size_t>(launch.tensors[i]);
      const auto kind = lowered_.tensors[t].memory;
      const bool crosses = kind == Lowered::Memory::kInput || kind == Lowered::Memory::kOutput;
      if (ready.set && !crosses) continue;
      const cl_mem memory = arguments_[t];
      const cl_int error = api_.clSetKernelArg(ready.kernel.get(), static_cast<cl_uint>(i), sizeof memory, &memory);
      if (error != CL_SUCCESS) return failed(launch.kernel, error);
    }
    ready.set = true;
    return {};
  }

  Status go(const Ready& ready, cl_event* event = nullptr) {
    const cl_int error = api_.clEnqueueNDRangeKernel(device_->queue.get(), ready.kernel.get(), 3, nullptr, ready.items, ready.group, 0,
                                                     nullptr, event);
    return error == CL_SUCCESS ? Status{} : failed("a kernel cannot be started", error);
  }

  // Memory of the program's own for a tensor that came in memory that is not lent.
  Result<cl_mem> own(int tensor) {
    opencl::Memory& memory = memory_[static_cast<size_t>(tensor)];
    if (!memory) {
      const uint64_t bytes = lowered_.tensors[static_cast<size_t>(tensor)].bytes;
      auto made = device_->allocate(bytes, CL_MEM_READ_WRITE);
      if (!made) return made.error();
      memory = made.take();
      device_bytes_ += bytes;
    }
    return memory.get();
  }

  // On the device's thread.
  Status run(Outcome& outcome) {
    if (device_->lost()) return fail(Code::kRunFailed, "OpenCL: '", device_->info().name, "' is lost");
    lent_.clear();
    Event last;
    Status status = enqueue(outcome, last);
    const bool enqueued = static_cast<bool>(status);
    // What was lent has to come back, whatever happened.
    for (const auto& [lent, made] : lent_) {
      Status back = lent->take_back(made && enqueued, outcome, last);
      if (status && !back) status = std::move(back);
    }
    if (!last) return status;
    Status finished = device_->wait(std::move(last));
    if (!finished && !lent_.empty()) outcome.lent_lost = true;
    return status ? std::move(finished) : std::move(status);
  }

  // last: becomes the event of the last command that has one.
  Status enqueue(Outcome& outcome, Event& last) {
    const auto lend = [&](ClLent* lent, bool to_read) -> Status {
      const auto given = std::find_if(lent_.begin(), lent_.end(), [&](const auto& one) { return one.first == lent; });
      if (given != lent_.end()) return {};
      if (auto s = lent->give(to_read, outcome, last); !s) return s;
      lent_.emplace_back(lent, !to_read);
      return {};
    };
    for (size_t i = 0; i < inputs_.size(); ++i) {
      const int tensor = in_tensor_[i];
      if (tensor < 0) continue;
      if (ClLent* lent = device_->lent.at(inputs_[i])) {
        if (auto s = lend(lent, true); !s) return s;
        arguments_[static_cast<size_t>(tensor)] = lent->memory();
        continue;
      }
      if (auto s = device_->step("write"); !s) return s;
      auto memory = own(tensor);
      if (!memory) return memory.error();
      const uint64_t bytes = lowered_.tensors[static_cast<size_t>(tensor)].bytes;
      cl_event event = nullptr;
      const cl_int error = api_.clEnqueueWriteBuffer(device_->queue.get(), *memory, CL_FALSE, 0, bytes, inputs_[i], 0, nullptr, &event);
      if (error != CL_SUCCESS) return failed("an input cannot be written", error);
      last = Event(&api_, event);
      arguments_[static_cast<size_t>(tensor)] = *memory;
      outcome.copied_bytes += bytes;
    }
    for (size_t i = 0; i < outputs_.size(); ++i) {
      const int tensor = out_tensor_[i];
      if (ClLent* lent = device_->lent.at(outputs_[i])) {
        if (auto s = lend(lent, false); !s) return s;
        arguments_[static_cast<size_t>(tensor)] = lent->memory();
        continue;
      }
      auto memory = own(tensor);
      if (!memory) return memory.error();
      arguments_[static_cast<size_t>(tensor)] = *memory;
    }
    for (size_t i = 0; i < launches_.size(); ++i) {
      if (auto s = device_->step("launch"); !s) return s;
      if (auto s = set_tensors(launches_[i], lowered_.launches[i]); !s) return s;
      const bool is_last = i + 1 == launches_.size();
      cl_event event = nullptr;
      if (auto s = go(launches_[i], is_last ? &event : nullptr); !s) return s;
      if (is_last) last = Event(&api_, event);
    }
    for (size_t i = 0; i < outputs_.size(); ++i) {
      if (device_->lent.at(outputs_[i]) != nullptr) continue;
      if (auto s = device_->step("read"); !s) return s;
      const auto tensor = static_cast<size_t>(out_tensor_[i]);
      const uint64_t bytes = lowered_.tensors[tensor].bytes;
      cl_event event = nullptr;
      const cl_int error = api_.clEnqueueReadBuffer(device_->queue.get(), arguments_[tensor], CL_FALSE, 0, bytes, outputs_[i], 0, nullptr, &event);
      if (error != CL_SUCCESS) return failed("an output cannot be read", error);
      last = Event(&api_, event);
      outcome.copied_bytes += bytes;
    }
    return {};
  }

  std::shared_ptr<ClDevice> device_;
  const Api& api_;
  Lowered lowered_;
  std::vector<opencl::Memory> memory_;  // per tensor that has some of its own
  opencl::Memory temporaries_;
  std::vector<cl_mem> arguments_;       // per tensor
  std::vector<int> in_tensor_, out_tensor_;
  std::vector<Ready> launches_;
  uint64_t device_bytes_ = 0;
  // Of the submission on its way, on the device's thread:
  std::vector<const std::byte*> inputs_;
  std::vector<std::byte*> outputs_;
  std::vector<std::pair<ClLent*, bool>> lent_;  // and whether it is made
};

Result<std::unique_ptr<Program>> ClDevice::prepare(const Part& part) {
  if (lost()) return fail(Code::kRunFailed, "OpenCL: '", info_.name, "' is lost");
  auto lowered = lower(part, tuning, alignment);
  if (!lowered) return lowered.error();
  auto program = std::make_unique<ClProgram>(shared_from_this(), lowered.take());
  if (auto s = program->make(part); !s) return s.error();
  return std::unique_ptr<Program>(std::move(program));
}

}  // namespace

Result<std::vector<Info>> list(const std::string& library) {
  auto api = load(library);
  if (!api) return api.error();
  std::vector<Info> all;
  for (const Found& found : find(**api)) all.push_back(describe(**api, found.device));
  return all;
}

Result<std::shared_ptr<Device>> open(size_t index, const Options& options) {
  auto api = options.calls != nullptr ? Result<const Api*>(options.calls) : load(options.library);
  if (!api) return api.error();
  const std::vector<Found> all = find(**api);
  if (index >= all.size()) {
    return fail(Code::kNotFound, "there is no OpenCL device ", index, "; this machine has ", all.size(), all.empty() ? ": " : "",
                all.empty() ? kWhatToInstall : "");
  }
  auto device = std::make_shared<ClDevice>(**api, all[index], options);
  if (auto s = device->start(); !s) return s.error();
  return std::shared_ptr<Device>(std::move(device));
}

}  // namespace plx::device::opencl
