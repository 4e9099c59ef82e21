// Sequences, maps and optionals: into a model, across units, and out again, in every cut and width.
#include <gtest/gtest.h>

#include "plx/schedule/models_testing.h"
#include "plx/schedule/session_testing.h"

namespace plx::schedule {
namespace {

using namespace testing;
using ort::Content;
using ort::testing::noise;
using ort::testing::tensor_of;
using ort::testing::text_of;

Content value_of(const Tensor& tensor) {
  return {.kind = Content::Kind::kTensor, .element = tensor.element, .dims = tensor.dims, .bytes = tensor.bytes,
          .strings = tensor.strings, .parts = {}};
}
Content compound(Content::Kind kind, const std::vector<Content>& parts) {
  Content content;
  content.kind = kind;
  for (const Content& part : parts) content.parts.push_back(std::make_shared<const Content>(part));
  return content;
}
Content list_of(const std::vector<Content>& elements) { return compound(Content::Kind::kSequence, elements); }
Content list_of(const Tensors& tensors) {
  std::vector<Content> elements;
  for (const Tensor& tensor : tensors) elements.push_back(value_of(tensor));
  return list_of(elements);
}
Content dictionary(const Tensor& keys, const Tensor& values) {
  return compound(Content::Kind::kMap, {value_of(keys), value_of(values)});
}

bool same(const Content& a, const Content& b) {
  if (a.kind != b.kind || a.element != b.element || a.dims != b.dims || a.bytes != b.bytes || a.strings != b.strings) return false;
  return std::equal(a.parts.begin(), a.parts.end(), b.parts.begin(), b.parts.end(),
                    [](const auto& x, const auto& y) { return same(*x, *y); });
}

struct Case {
  std::vector<Content> inputs;
  std::vector<Content> outputs;
};

// Three runs of each case in each cut and width, on one session, so that later cases meet what earlier ones recorded.
void expect_values(const std::string& model, const std::vector<Case>& cases) {
  Loaded loaded(model);
  for (const Units units : kAllUnits) {
    for (const int threads : {0, 1}) {
      SCOPED_TRACE(std::string("units ") + partition::units_name(units) + ", threads " + std::to_string(threads));
      const auto session = loaded.session(units, threads);
      for (const Case& c : cases) {
        for (size_t i = 0; i < c.inputs.size(); ++i) must(session->bind_input_value(i, c.inputs[i]));
        for (int repeat = 0; repeat < 3; ++repeat) {
          must(session->run());
          for (size_t i = 0; i < c.outputs.size(); ++i) {
            const Content given = must(session->output_value(i));
            EXPECT_TRUE(same(given, c.outputs[i])) << "case " << &c - cases.data() << ", output " << i << " is " << ort::text(given);
          }
        }
      }
    }
  }
}

TEST(Sequences, GoInAndOutAndThrough) {
  Model m;
  const auto list = sequence_of(tensor_type(kFloat));
  m.input("list", list).input("x", kFloat, {"n", 2});
  m.node("SequenceInsert", {"list", "x"}, {"longer"}).node("Identity", {"longer"}, {"same"});
  m.node("SequenceInsert", {"same", "x"}, {"longest"}).node("SequenceLength", {"longest"}, {"length"});
  m.output("longest", list).output("length", kInt, {}).output("list", list);
  const Tensor a = noise({1, 2}, 1);
  const Tensor b = noise({3, 2}, 2);
  const Tensor none = noise({0, 2}, 3);
  const auto number = [](int64_t n) { return value_of(tensor_of<int64_t>({}, {n})); };
  expect_values(m.bytes(), {{{list_of({a, b}), value_of(a)}, {list_of({a, b, a, a}), number(4), list_of({a, b})}},
                            {{list_of(Tensors{}), value_of(b)}, {list_of({b, b}), number(2), list_of(Tensors{})}},
                            {{list_of({none}), value_of(none)}, {list_of({none, none, none}), number(3), list_of({none})}}});
}

TEST(Sequences, OfStrings) {
  Model m;
  const auto list = sequence_of(tensor_type(kText));
  m.input("list", list).input("at", kInt, {});
  m.node("SequenceAt", {"list", "at"}, {"item"}).node("SequenceInsert", {"list", "item"}, {"longer"});
  m.output("item", tensor_type(kText)).output("longer", list);
  const Tensor a = text_of({2}, {std::string("a\0b", 3), "a string longer than any small buffer"});
  const Tensor b = text_of({1, 1}, {""});
  expect_values(m.bytes(), {{{list_of({a, b}), value_of(tensor_of<int64_t>({}, {0}))}, {value_of(a), list_of({a, b, a})}},
                            {{list_of({b}), value_of(tensor_of<int64_t>({}, {-1}))}, {value_of(b), list_of({b, b})}}});
}

Attr type_attr(const TypeBytes& type) { return attribute("type", 13, field(graph::onnx::Attribute::kTypeProto, type.bytes)); }

// has = whether there is one; y = it plus x, or x; maybe = it as it came; made = one without content, made inside; same =
// it through two units of its own.
std::string optional_tensor() {
  Body there("there");
  there.node("OptionalGetElement", {"maybe"}, {"content"}).node("Add", {"content", "x"}, {"sum"}).output("sum", kFloat, {2});
  Body absent("absent");
  absent.node("Identity", {"x"}, {"copy"}).output("copy", kFloat, {2});
  Model m;
  const auto maybe = optional_of(tensor_type(kFloat, {2}));
  m.input("maybe", maybe).input("x", kFloat, {2});
  m.node("OptionalHasElement", {"maybe"}, {"has"});
  m.node("If", {"has"}, {"y"}, {attr("then_branch", there), attr("else_branch", absent)});
  m.node("Optional", {}, {"made"}, {type_attr(tensor_type(kFloat))}).node("OptionalHasElement", {"made"}, {"made_has"});
  m.node("Identity", {"maybe"}, {"first"}).node("Identity", {"first"}, {"same"});
  m.output("has", kBool, {}).output("y", kFloat, {2}).output("maybe", maybe).output("made", maybe).output("made_has", kBool, {});
  m.output("same", maybe);
  return m.bytes();
}

TEST(Optionals, MayBeAbsent) {
  const Tensor x = tensor_of<float>({2}, {1, 2});
  const Tensor content = tensor_of<float>({2}, {10, 20});
  const auto flag = [](bool value) { return value_of(tensor_of<bool>({}, {value})); };
  const Case present{{value_of(content), value_of(x)},
                     {flag(true), value_of(tensor_of<float>({2}, {11, 22})), value_of(content), Content{}, flag(false), value_of(content)}};
  const Case absent{{Content{}, value_of(x)}, {flag(false), value_of(x), Content{}, Content{}, flag(false), Content{}}};
  expect_values(optional_tensor(), {present, absent, present});
}

TEST(Optionals, AreNoTensorsWhenAbsent) {
  Loaded loaded(optional_tensor());
  const Tensor x = tensor_of<float>({2}, {1, 2});
  for (const Units units : kAllUnits) {
    const auto session = loaded.session(units);
    must(session->bind_input_value(0, Content{}));
    must(bind(*session, 1, x));
    must(session->run());
    const auto output = session->output(3);
    ASSERT_FALSE(output);
    EXPECT_EQ(output.error().code, Code::kUnsupported);
    EXPECT_FALSE(session->output(2));
    must(bind(*session, 0, x));  // content as a tensor, where it lies
    must(session->run());
    EXPECT_EQ(read_output(*session, 2), x);
  }
}

TEST(Optionals, OfSequences) {
  Model m;
  const auto maybe = optional_of(sequence_of(tensor_type(kFloat)));
  m.input("maybe", maybe).node("OptionalHasElement", {"maybe"}, {"has"}).node("Identity", {"maybe"}, {"same"});
  m.output("has", kBool, {}).output("same", maybe);
  const Tensor a = noise({2}, 1);
  const auto flag = [](bool value) { return value_of(tensor_of<bool>({}, {value})); };
  expect_values(m.bytes(), {{{list_of({a, a})}, {flag(true), list_of({a, a})}},
                            {{Content{}}, {flag(false), Content{}}},
                            {{list_of(Tensors{})}, {flag(true), list_of(Tensors{})}}});
}

TEST(Maps, GoInAndOut) {
  Model m;
  m.imports("ai.onnx.ml", 3);
  m.input("map", map_of(kText, tensor_type(kFloat)));
  m.node("ai.onnx.ml:DictVectorizer", {"map"}, {"vector"},
         {attribute("string_vocabulary", 8, field(graph::onnx::Attribute::kStrings, "a") + field(graph::onnx::Attribute::kStrings, "b"))});
  m.node("Neg", {"vector"}, {"negative"});
  m.node("ai.onnx.ml:ZipMap", {"negative"}, {"maps"},
         {attribute("classlabels_int64s", 7, number(graph::onnx::Attribute::kInts, 7) + number(graph::onnx::Attribute::kInts, 9))});
  m.output("maps", sequence_of(map_of(kInt, tensor_type(kFloat)))).output("map", map_of(kText, tensor_type(kFloat)));
  const auto labels = tensor_of<int64_t>({2}, {7, 9});
  const Content both = dictionary(text_of({2}, {"a", "b"}), tensor_of<float>({2}, {1, 2}));
  const Content one = dictionary(text_of({1}, {"b"}), tensor_of<float>({1}, {5}));
  expect_values(m.bytes(), {{{both}, {list_of({dictionary(labels, tensor_of<float>({2}, {-1, -2}))}), both}},
                            {{one}, {list_of({dictionary(labels, tensor_of<float>({2}, {-0.f, -5}))}), one}}});
}

TEST(Values, OfAnotherTypeAreRefused) {
  Model m;
  m.imports("ai.onnx.ml", 3);
  m.input("list", sequence_of(tensor_type(kFloat))).input("maybe", optional_of(sequence_of(tensor_type(kInt))));
  m.input("map", map_of(kInt, tensor_type(kFloat))).input("x", kFloat, {2});
  m.node("SequenceLength", {"list"}, {"a"}).node("OptionalHasElement", {"maybe"}, {"b"});
  m.node("ai.onnx.ml:DictVectorizer", {"map"}, {"c"}, {attribute("int64_vocabulary", 7, number(graph::onnx::Attribute::kInts, 1))});
  m.node("Neg", {"x"}, {"d"}).output("a", kInt, {}).output("b", kBool, {}).output("c", kFloat, {1, 1}).output("d", kFloat, {2});
  Loaded loaded(m.bytes());
  const Tensor floats = noise({2}, 1);
  const Tensor ints = tensor_of<int64_t>({2}, {1, 2});
  for (const Units units : kAllUnits) {
    const auto session = loaded.session(units);
    const auto refused = [&](size_t index, const Content& content, const std::vector<std::string>& parts) {
      const Status status = session->bind_input_value(index, content);
      ASSERT_FALSE(status) << index;
      EXPECT_EQ(status.error().code, Code::kInvalidArgument);
      for (const std::string& part : parts) EXPECT_NE(status.error().message.find(part), std::string::npos) << status.error().message;
    };
    refused(4, Content{}, {"no input 4"});
    refused(0, Content{}, {"'list'", "sequence(float32)", "none"});
    refused(0, value_of(floats), {"'list'", "sequence(float32)", "tensor"});
    refused(0, list_of({floats, ints}), {"'list'", "float32", "int64[2]"});
    refused(0, list_of({list_of({floats})}), {"'list'", "float32", "a sequence of 1"});
    refused(1, list_of({floats}), {"'maybe'", "int64", "float32[2]"});
    refused(2, dictionary(text_of({2}, {"a", "b"}), floats), {"'map'", "int64", "string"});
    refused(2, dictionary(ints, ints), {"'map'", "float32", "int64"});
    refused(3, list_of({floats}), {"'x'", "float32", "a sequence of 1"});
    refused(3, value_of(ints), {"'x'", "float32", "int64"});
    refused(3, value_of(noise({3}, 1)), {"'x'", "[2]", "[3]"});
    must(session->bind_input_value(0, list_of({floats})));
    must(session->bind_input_value(1, Content{}));
    must(session->bind_input_value(2, dictionary(ints, floats)));
    must(session->bind_input_value(3, value_of(floats)));
    must(session->run());
    EXPECT_EQ(read_output(*session, 0), tensor_of<int64_t>({}, {1}));
  }
}

}  // namespace
}  // namespace plx::schedule
