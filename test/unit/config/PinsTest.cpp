#include "ConfigTesting.h"

using namespace deepshard;
using testing::ElementsAre;
using testing::IsEmpty;

namespace {

using Dims = std::vector<std::vector<std::string>>;

std::string withPins(const std::string &pins) {
  return withOptimizer("\"deepshard\": {\"pins\": {\n" + pins + "}}");
}

bool matches(const std::string &pattern, const std::string &name) {
  Pin pin;
  pin.pattern = pattern;
  return pin.matches(name);
}

TEST(Pins, everyFormOfADimension) {
  ConfigResult result = read(withPins(R"("*.attn.c_attn.weight": [[], "tensor"],
"*.c_proj.weight": [["tensor"], null],
"wte.weight": [["pipe", "tensor"], []], "scale": [])"));
  ASSERT_THAT(errors(result), IsEmpty());
  const std::vector<Pin> &pins = result.config->pins;
  ASSERT_EQ(pins.size(), 4);
  EXPECT_EQ(pins[0].pattern, "*.attn.c_attn.weight");
  EXPECT_EQ(pins[0].dims, (Dims{{}, {"tensor"}}));
  EXPECT_EQ(pins[0].file, "c.json");
  EXPECT_EQ(pins[0].line, 2);
  EXPECT_EQ(pins[0].key, "deepshard.pins.*.attn.c_attn.weight");
  EXPECT_EQ(pins[1].dims, (Dims{{"tensor"}, {}}));
  EXPECT_EQ(pins[1].line, 3);
  EXPECT_EQ(pins[2].dims, (Dims{{"pipe", "tensor"}, {}}));
  EXPECT_EQ(pins[3].dims, Dims{});
}

TEST(Pins, onTheCommandLine) {
  ConfigResult result = read(withPins("\"a\": [\"tensor\"]"),
                             {"mesh.tensor=2", R"(pins={"*.w": ["tensor"], "b?": [[], "pipe"]})"});
  ASSERT_THAT(errors(result), IsEmpty());
  const std::vector<Pin> &pins = result.config->pins;
  ASSERT_EQ(pins.size(), 2);
  EXPECT_EQ(pins[0].pattern, "*.w");
  EXPECT_EQ(pins[0].dims, (Dims{{"tensor"}}));
  EXPECT_EQ(pins[0].file, "--set");
  EXPECT_EQ(pins[0].line, 0);
  EXPECT_EQ(pins[1].dims, (Dims{{}, {"pipe"}}));
}

TEST(Pins, noneByDefault) {
  EXPECT_THAT(read(withOptimizer("")).config->pins, IsEmpty());
  EXPECT_THAT(read(withOptimizer(""), {"pins=auto"}).config->pins, IsEmpty());
}

TEST(Pins, everyFaultIsNamed) {
  EXPECT_THAT(
      errors(read(withPins(R"("a.w": "tensor",
"b.w": [[],
  "tenser"],
"c.w": ["context"],
"d.w": ["tensor", ["pipe", "tensor"]],
"e.w": [["pipe", "pipe"], "data"],
"f.w": [2, [[]]],
"": [],
"a.w": ["tensor"])"))),
      ElementsAre(
          "c.json:2: deepshard.pins.a.w: expected an array with one entry per dimension of the "
          "parameter, as [[], \"tensor\"], found the string \"tensor\"",
          "c.json:4: deepshard.pins.b.w: dimension 1: the mesh has no axis \"tenser\"; did you "
          "mean \"tensor\"?",
          "c.json:5: deepshard.pins.c.w: dimension 0: the axis \"context\" splits the sequence and "
          "cannot split a parameter",
          "c.json:6: deepshard.pins.d.w: dimension 1: the axis \"tensor\" splits dimension 0 "
          "already; an axis can be used once",
          "c.json:7: deepshard.pins.e.w: dimension 0: the axis \"pipe\" splits dimension 0 "
          "already; an axis can be used once",
          "c.json:7: deepshard.pins.e.w: dimension 1: the axis \"data\" splits the batch and "
          "cannot "
          "split a parameter; zero_optimization.stage splits parameters over it",
          "c.json:8: deepshard.pins.f.w: dimension 0: expected null, an axis of the mesh or a list "
          "of axes, found the number 2",
          "c.json:8: deepshard.pins.f.w: dimension 1: expected null, an axis of the mesh or a list "
          "of axes, found an array",
          "c.json:9: deepshard.pins.: an empty pattern matches no parameter",
          "c.json:10: deepshard.pins.a.w: the key is given twice, first on line 2; keep one"));
  EXPECT_THAT(errors(read(withOptimizer(""), {R"(pins={"w": ["x"]})", "gradient_clipping=1"})),
              ElementsAre("--set: deepshard.pins.w: dimension 0: the mesh has no axis \"x\"; its "
                          "axes are pipe, data, context, tensor"));
  EXPECT_THAT(errors(read(withOptimizer("\"deepshard\": {\"pins\": [\"tensor\"]}"))),
              ElementsAre("c.json:1: deepshard.pins: expected an object, found an array"));
}

TEST(Pins, hashFollowsThem) {
  auto hash = [](const std::string &pins) { return read(withPins(pins)).config->hash; };
  const uint64_t one = hash(R"("a": ["tensor"], "b": [])");
  EXPECT_EQ(hash("// the same\n\"a\": [[\"tensor\"]], \"b\": []"), one);
  EXPECT_NE(hash(R"("a": ["data"], "b": [])"), one);
  EXPECT_NE(hash(R"("a": ["tensor"])"), one);
  EXPECT_NE(hash(R"("a": ["tensor", []], "b": [])"), one);
  // The first that matches holds.
  EXPECT_NE(hash(R"("b": [], "a": ["tensor"])"), one);
}

TEST(Pins, patterns) {
  EXPECT_TRUE(matches("*.attn.c_attn.weight", "transformer.h.0.attn.c_attn.weight"));
  EXPECT_FALSE(matches("*.attn.c_attn.weight", "transformer.h.0.crossattn.c_attn.weight"));
  EXPECT_FALSE(matches("*.attn.c_attn.weight", "transformer.h.0.attn.c_attn.weight_g"));
  EXPECT_TRUE(matches("wte", "wte"));
  EXPECT_FALSE(matches("wte", "wt"));
  EXPECT_FALSE(matches("wte", "wtee"));
  EXPECT_TRUE(matches("h.?.w", "h.1.w"));
  EXPECT_FALSE(matches("h.?.w", "h.11.w"));
  EXPECT_FALSE(matches("h.?.w", "h..w"));
  // A dot is a dot, and a star takes any text, none and dots included.
  EXPECT_FALSE(matches("a.w", "a_w"));
  EXPECT_TRUE(matches("*", ""));
  EXPECT_TRUE(matches("a*", "a"));
  EXPECT_TRUE(matches("a**b*", "a.b.c"));
  EXPECT_FALSE(matches("?", ""));
  // The first place where a star's successor fits is not always the right one.
  EXPECT_TRUE(matches("*ab*abc", "xabab.ababc"));
  EXPECT_FALSE(matches("*ab*abc", "xababab"));
}

// The split that examples/gpt2 has for a mesh with tensor > 1, against the names and ranks of
// Hugging Face's GPT-2.
TEST(Pins, exampleOfGpt2) {
  ConfigOptions options;
  options.overrides = {"mesh.data=2"};
  ConfigResult result =
      parseConfigFile(DEEPSHARD_SOURCE_DIR "/examples/gpt2/tensor_parallel.json", options);
  ASSERT_THAT(errors(result), IsEmpty());
  EXPECT_THAT(notes(result), IsEmpty());
  EXPECT_EQ(result.config->mesh.ranks(), 4);
  auto layout = [&](const std::string &name) -> Dims {
    for (const Pin &pin : result.config->pins)
      if (pin.matches(name))
        return pin.dims;
    return {{"no pin"}};
  };
  const Dims columns = {{}, {"tensor"}}, rows = {{"tensor"}, {}}, vector = {{"tensor"}},
             none = {{"no pin"}};
  const std::string block = "transformer.h.11.";
  EXPECT_EQ(layout(block + "attn.c_attn.weight"), columns);
  EXPECT_EQ(layout(block + "attn.c_attn.bias"), vector);
  EXPECT_EQ(layout(block + "attn.c_proj.weight"), rows);
  EXPECT_EQ(layout(block + "attn.c_proj.bias"), none);
  EXPECT_EQ(layout(block + "mlp.c_fc.weight"), columns);
  EXPECT_EQ(layout(block + "mlp.c_fc.bias"), vector);
  EXPECT_EQ(layout(block + "mlp.c_proj.weight"), rows);
  EXPECT_EQ(layout(block + "mlp.c_proj.bias"), none);
  EXPECT_EQ(layout(block + "ln_1.weight"), none);
  EXPECT_EQ(layout("transformer.wte.weight"), rows);
  EXPECT_EQ(layout("transformer.wpe.weight"), none);
}

} // namespace
