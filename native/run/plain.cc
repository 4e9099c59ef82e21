// Plain ONNX Runtime with its defaults, as its users have it: one session, its own pool and arena.
#include <dlfcn.h>
#include <onnxruntime_c_api.h>

#include "engine.h"
#include "plx/graph/graph.h"

namespace plx::run {

namespace {

class Plain final : public Engine {
 public:
  explicit Plain(const Options& options) : Plain() {  // so that the destructor runs if this throws half-way
    setenv("ORT_DISABLE_TELEMETRY", "1", 1);  // as Parallax does: a thread that uploads is nothing to measure
    void* const library = dlopen(options.ort_library.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) throw Failure(dlerror());
    const auto get_base = reinterpret_cast<const OrtApiBase* (*)()>(dlsym(library, "OrtGetApiBase"));
    if (get_base == nullptr) throw Failure("'" + options.ort_library + "' is no ONNX Runtime library");
    api_ = get_base()->GetApi(ORT_API_VERSION);
    if (api_ == nullptr) throw Failure("'" + options.ort_library + "' is too old a version of ONNX Runtime");
    must(api_->CreateEnv(ORT_LOGGING_LEVEL_FATAL, "plx-run", &env_));
    must(api_->CreateSessionOptions(&session_options_));
    must(api_->SetIntraOpNumThreads(session_options_, options.threads));
    must(api_->CreateSession(env_, options.model.c_str(), session_options_, &session_));
    must(api_->CreateCpuMemoryInfo(OrtDeviceAllocator, OrtMemTypeDefault, &cpu_));
  }
  ~Plain() override {
    release_outputs();
    for (OrtValue* value : inputs_) api_->ReleaseValue(value);
    if (cpu_ != nullptr) api_->ReleaseMemoryInfo(cpu_);
    if (session_ != nullptr) api_->ReleaseSession(session_);
    if (session_options_ != nullptr) api_->ReleaseSessionOptions(session_options_);
    if (env_ != nullptr) api_->ReleaseEnv(env_);
  }

  std::vector<Declared> inputs() override {
    input_names_ = names(api_->SessionGetInputCount, api_->SessionGetInputName);
    output_names_ = names(api_->SessionGetOutputCount, api_->SessionGetOutputName);
    std::vector<Declared> declared;
    for (size_t i = 0; i < input_names_.size(); ++i) {
      OrtTypeInfo* type = nullptr;
      must(api_->SessionGetInputTypeInfo(session_, i, &type));
      const OrtTensorTypeAndShapeInfo* tensor = nullptr;
      must(api_->CastTypeInfoToTensorInfo(type, &tensor));
      if (tensor == nullptr) throw Failure("input '" + input_names_[i] + "' is no tensor");
      Declared& one = declared.emplace_back();
      one.name = input_names_[i];
      ONNXTensorElementDataType element = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
      must(api_->GetTensorElementType(tensor, &element));
      one.element = static_cast<int32_t>(element);
      size_t rank = 0;
      must(api_->GetDimensionsCount(tensor, &rank));
      one.dims.resize(rank);
      must(api_->GetDimensions(tensor, one.dims.data(), rank));
      api_->ReleaseTypeInfo(type);
    }
    return declared;
  }

  void prepare(const std::vector<Input>& inputs) override {
    for (const Input& input : inputs) {
      must(api_->CreateTensorWithDataAsOrtValue(cpu_, const_cast<std::byte*>(input.bytes.data()), input.bytes.size(),
                                                input.dims.data(), input.dims.size(),
                                                static_cast<ONNXTensorElementDataType>(input.element),
                                                &inputs_.emplace_back(nullptr)));
    }
    for (const std::string& name : input_names_) input_pointers_.push_back(name.c_str());
    for (const std::string& name : output_names_) output_pointers_.push_back(name.c_str());
    outputs_.assign(output_names_.size(), nullptr);
  }

  void run() override {
    release_outputs();
    must(api_->Run(session_, nullptr, input_pointers_.data(), inputs_.data(), inputs_.size(), output_pointers_.data(),
                   outputs_.size(), outputs_.data()));
  }

  uint64_t digest() override {
    uint64_t digest = kEmptyDigest;
    for (OrtValue* value : outputs_) {
      OrtTensorTypeAndShapeInfo* info = nullptr;
      must(api_->GetTensorTypeAndShape(value, &info));
      ONNXTensorElementDataType element = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
      must(api_->GetTensorElementType(info, &element));
      size_t rank = 0;
      must(api_->GetDimensionsCount(info, &rank));
      std::vector<int64_t> dims(rank);
      must(api_->GetDimensions(info, dims.data(), rank));
      api_->ReleaseTensorTypeAndShapeInfo(info);
      void* data = nullptr;
      must(api_->GetTensorMutableData(value, &data));
      digest = add_to_digest(digest, data, graph::tensor_bytes(static_cast<graph::ElementType>(element), dims).value_or(0));
    }
    return digest;
  }

  nlohmann::json report() override { return nlohmann::json::object(); }
  std::string memory_problem() override { throw Failure("--problem: ONNX Runtime tells none; it goes with --engine parallax"); }

 private:
  Plain() = default;

  void must(OrtStatus* status) const {
    if (status == nullptr) return;
    const std::string text = api_->GetErrorMessage(status);
    api_->ReleaseStatus(status);
    throw Failure(text);
  }

  template <class Count, class Name>
  std::vector<std::string> names(Count count_of, Name name_of) {
    OrtAllocator* allocator = nullptr;
    must(api_->GetAllocatorWithDefaultOptions(&allocator));
    size_t count = 0;
    must(count_of(session_, &count));
    std::vector<std::string> out;
    for (size_t i = 0; i < count; ++i) {
      char* name = nullptr;
      must(name_of(session_, i, allocator, &name));
      out.emplace_back(name);
      must(api_->AllocatorFree(allocator, name));
    }
    return out;
  }

  void release_outputs() {
    for (OrtValue*& value : outputs_) {
      if (value != nullptr) api_->ReleaseValue(value);
      value = nullptr;
    }
  }

  const OrtApi* api_ = nullptr;
  OrtEnv* env_ = nullptr;
  OrtSessionOptions* session_options_ = nullptr;
  OrtSession* session_ = nullptr;
  OrtMemoryInfo* cpu_ = nullptr;
  std::vector<std::string> input_names_, output_names_;
  std::vector<const char*> input_pointers_, output_pointers_;
  std::vector<OrtValue*> inputs_, outputs_;
};

}  // namespace

std::unique_ptr<Engine> plain(const Options& options) { return std::make_unique<Plain>(options); }

}  // namespace plx::run
