// plx-gemm: the OpenCL device's matrix products beside CLBlast's on the same device, by turns.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#define CL_TARGET_OPENCL_VERSION 120
#include <clblast_c.h>

#include "plx/device/one_operator.h"
#include "plx/device/opencl/opencl.h"

namespace {

namespace device = plx::device;
namespace graph = plx::graph;
using Clock = std::chrono::steady_clock;
using Floats = std::vector<float>;

constexpr int kDiffers = 1;
constexpr int kImpossible = 2;

// Where the constant is, if there is one: a convolution of 1 x 1 is a product whose left matrix is the weights.
enum class Weights { kRight, kLeft, kNone };

struct Product {
  const char* model;
  const char* what;
  int64_t batches, rows, columns, depth;
  Weights weights;
};

const std::vector<Product> kProducts = {
    {"distilbert@16", "projection", 1, 16, 768, 768, Weights::kRight},
    {"distilbert@16", "feed forward, up", 1, 16, 3072, 768, Weights::kRight},
    {"distilbert@16", "feed forward, down", 1, 16, 768, 3072, Weights::kRight},
    {"distilbert@128", "projection", 1, 128, 768, 768, Weights::kRight},
    {"distilbert@128", "feed forward, up", 1, 128, 3072, 768, Weights::kRight},
    {"distilbert@128", "feed forward, down", 1, 128, 768, 3072, Weights::kRight},
    {"distilbert@128", "scores", 12, 128, 128, 64, Weights::kNone},
    {"distilbert@128", "mixing", 12, 128, 64, 128, Weights::kNone},
    {"whisper-tiny encoder", "projection", 1, 1500, 384, 384, Weights::kRight},
    {"whisper-tiny encoder", "feed forward, up", 1, 1500, 1536, 384, Weights::kRight},
    {"whisper-tiny encoder", "feed forward, down", 1, 1500, 384, 1536, Weights::kRight},
    {"whisper-tiny encoder", "scores", 6, 1500, 1500, 64, Weights::kNone},
    {"whisper-tiny encoder", "mixing", 6, 1500, 64, 1500, Weights::kNone},
    {"swinv2-tiny", "stage 1, projection", 1, 3136, 96, 96, Weights::kRight},
    {"swinv2-tiny", "stage 1, up", 1, 3136, 384, 96, Weights::kRight},
    {"swinv2-tiny", "stage 2, up", 1, 784, 768, 192, Weights::kRight},
    {"swinv2-tiny", "stage 3, projection", 1, 196, 384, 384, Weights::kRight},
    {"swinv2-tiny", "stage 3, up", 1, 196, 1536, 384, Weights::kRight},
    {"swinv2-tiny", "stage 3, down", 1, 196, 384, 1536, Weights::kRight},
    {"swinv2-tiny", "stage 4, up", 1, 49, 3072, 768, Weights::kRight},
    {"yolov8n", "1 x 1, 160 x 160", 1, 32, 160 * 160, 48, Weights::kLeft},
    {"yolov8n", "1 x 1, 80 x 80", 1, 64, 80 * 80, 128, Weights::kLeft},
    {"yolov8n", "1 x 1, 40 x 40", 1, 128, 40 * 40, 256, Weights::kLeft},
    {"yolov8n", "1 x 1, 20 x 20", 1, 256, 20 * 20, 384, Weights::kLeft},
};

[[noreturn]] void fail(const std::string& why) { throw std::runtime_error(why); }

template <class T>
T must(plx::Result<T> result) {
  if (!result) fail(result.error().message);
  return result.take();
}

Floats numbers(int64_t count, uint32_t state) {
  Floats values(static_cast<size_t>(count));
  for (float& one : values) {
    state = state * 1664525u + 1013904223u;
    one = static_cast<float>(state >> 8) / 8388608.f - 1.f;
  }
  return values;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

// The product as an operator on the device. Short products are run many times in a row, and the clock outside is for both.
class Ours {
 public:
  Ours(device::Device& device, const Product& p, const Floats& left, const Floats& right) {
    const auto side = static_cast<int64_t>(std::lround(std::sqrt(static_cast<double>(p.columns))));
    const bool conv = p.weights == Weights::kLeft;
    using Dims = std::vector<int64_t>;
    device::OneOperator::Operand a{conv ? Dims{p.rows, p.depth, 1, 1} : Dims{p.batches, p.rows, p.depth}, left, conv};
    device::OneOperator::Operand b{conv ? Dims{1, p.depth, side, side} : p.weights == Weights::kRight ? Dims{p.depth, p.columns} : Dims{p.batches, p.depth, p.columns},
                                   right, p.weights == Weights::kRight};
    if (conv) std::swap(a, b);  // the image comes before the filters
    one_ = must(device::OneOperator::make(device, conv ? "Conv" : "MatMul", {std::move(a), std::move(b)},
                                          conv ? Dims{1, p.rows, side, side} : Dims{p.batches, p.rows, p.columns}));
  }
  void run() { must(one_->run()); }
  Floats result() const { return {one_->output().begin(), one_->output().end()}; }

 private:
  std::unique_ptr<device::OneOperator> one_;
};

void check(int error, const char* what) {
  if (error != 0) fail(std::string(what) + " fails with " + std::to_string(error));
}

// A queue on a device, counted over all platforms as the OpenCL device counts them. Released with the process.
struct Queue {
  cl_context context = nullptr;
  cl_command_queue queue = nullptr;

  explicit Queue(size_t index) {
    cl_uint platforms = 0;
    check(clGetPlatformIDs(0, nullptr, &platforms), "clGetPlatformIDs");
    std::vector<cl_platform_id> ids(platforms);
    check(clGetPlatformIDs(platforms, ids.data(), nullptr), "clGetPlatformIDs");
    std::vector<cl_device_id> all;
    for (const cl_platform_id platform : ids) {
      cl_uint count = 0;
      if (clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 0, nullptr, &count) != CL_SUCCESS) continue;
      const size_t before = all.size();
      all.resize(before + count);
      check(clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, count, all.data() + before, nullptr), "clGetDeviceIDs");
    }
    cl_int error = CL_SUCCESS;
    context = clCreateContext(nullptr, 1, &all.at(index), nullptr, nullptr, &error);
    check(error, "clCreateContext");
    queue = clCreateCommandQueue(context, all[index], 0, &error);
    check(error, "clCreateCommandQueue");
  }
};

class Theirs {
 public:
  Theirs(Queue& queue, const Product& p, const Floats& left, const Floats& right) : queue_(queue), p_(p) {
    left_ = buffer(left.size(), left.data());
    right_ = buffer(right.size(), right.data());
    out_ = buffer(static_cast<size_t>(p.batches * p.rows * p.columns), nullptr);
  }
  ~Theirs() {
    for (const cl_mem memory : {left_, right_, out_}) clReleaseMemObject(memory);
  }
  Theirs(const Theirs&) = delete;

  void run() {
    const auto rows = static_cast<size_t>(p_.rows);
    const auto columns = static_cast<size_t>(p_.columns);
    const auto depth = static_cast<size_t>(p_.depth);
    const auto batches = static_cast<size_t>(p_.batches);
    if (batches == 1) {
      check(CLBlastSgemm(CLBlastLayoutRowMajor, CLBlastTransposeNo, CLBlastTransposeNo, rows, columns, depth, 1, left_, 0, depth, right_, 0, columns,
                         0, out_, 0, columns, &queue_.queue, nullptr), "CLBlastSgemm");
    } else {
      check(CLBlastSgemmStridedBatched(CLBlastLayoutRowMajor, CLBlastTransposeNo, CLBlastTransposeNo, rows, columns, depth, 1, left_, 0, depth,
                                       rows * depth, right_, 0, columns, depth * columns, 0, out_, 0, columns, rows * columns, batches,
                                       &queue_.queue, nullptr), "CLBlastSgemmStridedBatched");
    }
    check(clFinish(queue_.queue), "clFinish");
  }
  Floats result() const {
    Floats values(static_cast<size_t>(p_.batches * p_.rows * p_.columns));
    check(clEnqueueReadBuffer(queue_.queue, out_, CL_TRUE, 0, values.size() * sizeof(float), values.data(), 0, nullptr, nullptr), "clEnqueueReadBuffer");
    return values;
  }

 private:
  cl_mem buffer(size_t count, const float* content) const {
    cl_int error = CL_SUCCESS;
    const cl_mem_flags flags = CL_MEM_READ_WRITE | (content != nullptr ? CL_MEM_COPY_HOST_PTR : 0);
    const cl_mem memory = clCreateBuffer(queue_.context, flags, count * sizeof(float), const_cast<float*>(content), &error);
    check(error, "clCreateBuffer");
    return memory;
  }

  Queue& queue_;
  Product p_;
  cl_mem left_, right_, out_;
};

template <class Way>
double milliseconds(Way& way, int times) {
  const auto start = Clock::now();
  for (int i = 0; i < times; ++i) way.run();
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count() / times;
}

nlohmann::json measure(device::Device& device, Queue& queue, const Product& p, int rounds) {
  const Floats left = numbers(p.batches * p.rows * p.depth, 1);
  const Floats right = numbers(p.batches * p.depth * p.columns, 2);
  Ours ours(device, p, left, right);
  Theirs theirs(queue, p, left, right);
  ours.run();
  theirs.run();
  const Floats a = ours.result();
  const Floats b = theirs.result();
  // Sums of `depth` products of numbers around 0.5, in another order.
  for (size_t i = 0; i < a.size(); ++i) {
    if (!(std::abs(a[i] - b[i]) <= 1e-5 * std::sqrt(static_cast<double>(p.depth)) + 1e-4 * std::abs(b[i]))) {
      return {{"differs", "element " + std::to_string(i) + " is " + std::to_string(a[i]) + ", CLBlast's " + std::to_string(b[i])}};
    }
  }
  // Short ones several times in a row, so that no clock matters.
  const int times = std::clamp(static_cast<int>(5 / std::max(milliseconds(ours, 2), milliseconds(theirs, 2))), 1, 100);
  std::vector<double> ours_ms, theirs_ms, ratios;
  for (int round = 0; round < rounds; ++round) {
    double one = 0;
    double other = 0;
    if (round % 2 == 0) one = milliseconds(ours, times);
    other = milliseconds(theirs, times);
    if (round % 2 != 0) one = milliseconds(ours, times);
    ours_ms.push_back(one);
    theirs_ms.push_back(other);
    ratios.push_back(one / other);
  }
  return {{"model", p.model}, {"product", p.what}, {"batches", p.batches}, {"rows", p.rows}, {"columns", p.columns}, {"depth", p.depth},
          {"constant", p.weights == Weights::kRight ? "right" : p.weights == Weights::kLeft ? "left" : "none"},
          {"runs_in_a_row", times}, {"ours_ms", ours_ms}, {"clblast_ms", theirs_ms}, {"ratio", median(ratios)}};
}

std::string now() {
  const std::time_t time = std::time(nullptr);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", std::gmtime(&time));
  return text;
}

}  // namespace

int main(int argc, char** argv) {
  size_t index = 0;
  int rounds = 21;
  std::string json, clblast, machine, model;
  CLI::App app{"Times the OpenCL device's matrix products beside CLBlast's SGEMM, by turns, for products of the zoo's models.", "plx-gemm"};
  app.add_option("--device", index, "Which OpenCL device")->capture_default_str();
  app.add_option("--rounds", rounds, "Of each product")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--model", model, "Products of this model alone, such as distilbert@16");
  app.add_option("--json", json, "File for all figures");
  app.add_option("--clblast", clblast, "CLBlast's version, for that file");
  app.add_option("--machine", machine, "The machine, for that file");
  app.footer("Exit status: 0 all is well, 1 results differ, 2 it could not be run.");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kImpossible;
  }
  try {
    if (!model.empty() && std::none_of(kProducts.begin(), kProducts.end(), [&](const Product& p) { return model == p.model; })) {
      fail("no product is of model '" + model + "'; distilbert@16 and yolov8n have some");
    }
    const std::shared_ptr<device::Device> device = must(device::opencl::open(index, {}));
    Queue queue(index);
    nlohmann::json rows = nlohmann::json::array();
    std::map<std::string, std::vector<double>> logarithms;
    std::printf("Products in float32 on %s, %d rounds by turns, ms\n\n", device->info().name.c_str(), rounds);
    std::puts("| model | product | batches x rows x columns x depth | constant | ours | CLBlast | ours / CLBlast |");
    std::puts("|---|---|---|---|--:|--:|--:|");
    for (const Product& p : kProducts) {
      if (!model.empty() && model != p.model) continue;
      const nlohmann::json row = measure(*device, queue, p, rounds);
      if (row.contains("differs")) {
        std::fprintf(stderr, "plx-gemm: %s, %s: %s\n", p.model, p.what, row["differs"].get<std::string>().c_str());
        return kDiffers;
      }
      std::printf("| %s | %s | %lld x %lld x %lld x %lld | %s | %.3f | %.3f | %.2f |\n", p.model, p.what, static_cast<long long>(p.batches),
                  static_cast<long long>(p.rows), static_cast<long long>(p.columns), static_cast<long long>(p.depth),
                  row["constant"].get<std::string>().c_str(), median(row["ours_ms"].get<std::vector<double>>()),
                  median(row["clblast_ms"].get<std::vector<double>>()), row["ratio"].get<double>());
      std::fflush(stdout);
      logarithms[p.model].push_back(std::log(row["ratio"].get<double>()));
      logarithms["all"].push_back(logarithms[p.model].back());
      rows.push_back(row);
    }
    std::puts("\nGeometric means of ours / CLBlast (medians of the rounds' ratios), below 1 where ours is faster:");
    for (const auto& [model, values] : logarithms) {
      double sum = 0;
      for (const double one : values) sum += one;
      std::printf("%s %.2f\n", model.c_str(), std::exp(sum / static_cast<double>(values.size())));
    }
    if (!json.empty()) {
      const nlohmann::json all = {{"benchmark", "gemm"}, {"date", now()}, {"machine", machine}, {"device", device->info().name},
                                  {"driver", device->info().driver}, {"versions", {{"parallax", PLX_VERSION}, {"clblast", clblast}}},
                                  {"rounds", rounds}, {"products", rows}};
      std::ofstream out(json);
      out << all.dump(1) << "\n";
      if (!out.flush()) fail("--json " + json + " cannot be written");
    }
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "plx-gemm: %s\n", error.what());
    return kImpossible;
  }
}
