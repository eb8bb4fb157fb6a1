//===- RowKernelTest.cpp - generated kernels against the reference interpreter ----------------===//

#include "ExactGroupGenerator.h"
#include "GroupGenerator.h"
#include "RowKernelTesting.h"

#include "runtime/kernels/CpuLevel.h"

#include <cmath>
#include <iostream>

using namespace mlir;

namespace deepshard {
namespace {

using graph::HostTensor;

using Pairs = SmallVector<std::pair<unsigned, unsigned>>;

/// The levels that this machine can run.
std::vector<std::string> levels() {
  std::vector<std::string> result;
  for (std::string_view level : runtime::kCpuLevels)
    if (runtime::offers(runtime::cpuLevel(), level))
      result.emplace_back(level);
  return result;
}

TEST_F(RowKernelTest, RandomGroupsComputeWhatTheReferenceDoes) {
  Options options;
  int strided = 0, columnLoops = 0, spilled = 0, manyPhases = 0, blocked = 0;
  for (int i = 0; i < 240; ++i) {
    options.level = levels()[random() % levels().size()];
    GroupGenerator generator(*module, random);
    func::FuncOp function =
        generator.generate("group" + std::to_string(i), 1 + static_cast<int>(random() % 24));
    options.threads = 1 + static_cast<int>(random() % 3);
    options.layout = random() % 2 ? Layout::Strided : Layout::RowMajor;
    std::vector<HostTensor> arguments = randomArguments(function);
    if (random() % 2)
      addSpecialNumbers(arguments);
    Case *test = add(function, arguments, options);
    if (!test)
      continue;
    const RowKernel &kernel = *test->kernel;
    columnLoops += kernel.hasColumnLoop();
    spilled += !kernel.getSpills().empty();
    manyPhases += kernel.getLoops().getPhases() > 2;
    blocked += kernel.isBlocked();
    strided +=
        llvm::any_of(test->inputs, [](const Placed &input) { return !input.desc.isContiguous(); });
  }
  for (const std::string &level : levels())
    compile(level);
  // Each result alone in the place of an input, and as many at once as there are inputs for.
  int inPlace = 0, inPlaceOfManyPhases = 0, inPlaceAtOnce = 0;
  for (Case &test : cases) {
    run(test, 2);
    check(test, 3e-5);
    if (HasFatalFailure())
      return;
    std::vector<HostTensor> apart = test.results();
    const RowLoops &loops = test.kernel->getLoops();
    std::vector<Pairs> ways;
    Pairs atOnce;
    for (unsigned output = 0; output < test.outputs.size(); ++output)
      for (unsigned input = 0; input < test.inputs.size(); ++input) {
        if (!loops.mayOverwrite(input, output) ||
            test.inputs[input].desc != test.outputs[output].desc)
          continue;
        ways.push_back({{input, output}});
        if (llvm::none_of(atOnce,
                          [&](auto pair) { return pair.first == input || pair.second == output; }))
          atOnce.push_back({input, output});
      }
    inPlace += static_cast<int>(ways.size());
    inPlaceOfManyPhases += loops.getPhases() > 1 ? static_cast<int>(ways.size()) : 0;
    if (atOnce.size() > 1) {
      ++inPlaceAtOnce;
      ways.push_back(atOnce);
    }
    for (const Pairs &pairs : ways) {
      run(test, random() % 16 == 0 ? 3 : 1, pairs);
      std::vector<HostTensor> results = test.results();
      for (size_t i = 0; i < results.size(); ++i)
        if (std::string text = difference(results[i], apart[i], 0); !text.empty()) {
          llvm::raw_string_ostream(text) << "\n" << test.function;
          FAIL() << "result " << i << " with output " << pairs[0].second
                 << " in the place of input " << pairs[0].first << ": " << text;
        }
    }
  }
  std::cout << cases.size() << " groups, " << strided << " strided, " << columnLoops
            << " with sums along rows, " << spilled << " with kept rows, " << manyPhases
            << " of more than two phases, " << blocked << " blocked; " << inPlace
            << " results in the place of inputs, " << inPlaceOfManyPhases
            << " of them in groups of several phases, " << inPlaceAtOnce
            << " groups with several\n";
  EXPECT_GT(cases.size(), 160u);
  EXPECT_GT(std::min({strided, columnLoops, manyPhases, inPlaceOfManyPhases}), 20);
  EXPECT_GT(std::min({spilled, blocked, inPlaceAtOnce}), 4);
}

bool hasNaN(const HostTensor &tensor) {
  Type element = tensor.getType().getElementType();
  int64_t count = tensor.getType().getNumElements();
  if (element.isF32())
    return std::any_of(tensor.as<float>(), tensor.as<float>() + count,
                       [](float x) { return std::isnan(x); });
  unsigned infinity = element.isBF16() ? 0x7f80 : 0x7c00;
  return isa<FloatType>(element) &&
         std::any_of(tensor.as<uint16_t>(), tensor.as<uint16_t>() + count,
                     [&](uint16_t bits) { return (bits & 0x7fffu) > infinity; });
}

/// Every bit, of every type, on numbers of every kind; with operands whose last dimension is not
/// the innermost one, where the loops are another dimension's or the kernel is refused.
TEST_F(RowKernelTest, RandomGroupsOfExactOpsGiveTheSameBits) {
  Options options;
  int narrow = 0, scattered = 0, refused = 0, reducing = 0, counting = 0, special = 0;
  for (int i = 0; i < 400; ++i) {
    options.level = levels()[random() % levels().size()];
    options.threads = 1 + static_cast<int>(random() % 3);
    constexpr Layout layouts[] = {Layout::RowMajor, Layout::Strided, Layout::Strided,
                                  Layout::Scattered};
    options.layout = layouts[random() % 4];
    ExactGroupGenerator generator(*module, random);
    func::FuncOp function =
        generator.generate("exact" + std::to_string(i), 1 + static_cast<int>(random() % 20));
    std::vector<HostTensor> arguments = randomArguments(function);
    addSpecialNumbers(arguments);
    Case *test = add(function, arguments, options);
    refused += !test && RowLoops::of(function);
    if (!test)
      continue;
    const RowLoops &loops = test->kernel->getLoops();
    auto isNarrow = [](Operation *op) {
      Type element = cast<RankedTensorType>(op->getResult(0).getType()).getElementType();
      return element.isBF16() || element.isF16();
    };
    narrow += llvm::count_if(loops.getOps(), isNarrow) > 2;
    reducing += loops.getPhases() > 1 || test->kernel->hasColumnLoop();
    counting += llvm::any_of(loops.getOps(), llvm::IsaPred<graph::IotaOp>);
    scattered += llvm::any_of(test->inputs, [](const Placed &input) {
      return input.desc.rank() > 0 && input.desc.strides.back() != 1;
    });
  }
  for (const std::string &level : levels())
    compile(level);
  for (Case &test : cases) {
    run(test, 2);
    check(test, 0);
    if (HasFatalFailure())
      return;
    for (const HostTensor &result : test.results())
      special += hasNaN(result);
  }
  std::cout << cases.size() << " groups, " << narrow << " of narrow types, " << reducing
            << " with reductions, " << counting << " that count, " << scattered
            << " with operands whose last dimension is not the innermost, " << refused
            << " refused; " << special << " results with NaN\n";
  EXPECT_GT(cases.size(), 150u);
  EXPECT_GT(std::min({narrow, scattered, reducing, counting, special}), 20);
}

/// Every remainder of columns by lanes: the masked ends of vectors.
TEST_F(RowKernelTest, EveryNumberOfColumns) {
  for (const std::string &level : levels()) {
    size_t first = cases.size();
    for (int columns = 1; columns <= 70; ++columns) {
      std::string n = std::to_string(columns);
      std::string rows = "tensor<5xf32>", row = "tensor<5x1xf32>", x = "tensor<5x" + n + "xf32>",
                  w = "tensor<" + n + "xf32>";
      func::FuncOp function = parse(
          "func.func @f(%x: " + x + ", %w: " + w + ", %b: " + w + ", %dw: " + w + ") -> (" + x +
          ", " + rows + ", " + rows + ", " + x + ", " + w + ") {\n" +
          "  %y, %mean, %rstd = graph.layer_norm %x, %w, %b eps 1.0e-5 : " + x + ", " + w + ", " +
          w + "\n  %p = graph.softmax %x dim 1 : " + x +
          "\n  %s = graph.reduce_sum %x dims [0] : " + x + "\n  %sum = graph.add %s, %dw : " + w +
          ", " + w + "\n  return %y, %mean, %rstd, %p, %sum : " + x + ", " + rows + ", " + rows +
          ", " + x + ", " + w + "\n}");
      decompose(function);
      // Of one column only the sum is left: nothing is reduced along it.
      Options options;
      options.level = level;
      options.layout = columns % 2 == 0 ? Layout::Strided : Layout::RowMajor;
      Case *test = add(function, randomArguments(function), options);
      ASSERT_EQ(test != nullptr, columns > 1) << columns;
    }
    compile(level);
    for (size_t i = first; i < cases.size(); ++i) {
      run(cases[i], 1);
      check(cases[i], 1e-5, /*inF64=*/true);
      if (HasFatalFailure())
        return;
    }
  }
}

/// What else a group computes changes no bit: functions that need many registers, products that are
/// read twice. So what a backward computes again is what the forward computed.
TEST_F(RowKernelTest, AValueHasTheSameBitsInEveryGroup) {
  for (const std::string &level : levels())
    for (int columns : {24, 48, 100, 768}) {
      std::string n = std::to_string(columns), x = "tensor<9x" + n + "xf32>",
                  w = "tensor<" + n + "xf32>", rows = "tensor<9xf32>", name = "s" + n + level;
      std::string norm = "(%x: " + x + ", %w: " + w + ", %b: " + w + ") -> (" + x + ", " + rows;
      std::string body = ") {\n  %xw = graph.mul %x, %w : " + x + ", " + w +
                         "\n  %z = graph.add %xw, %x : " + x + ", " + x +
                         "\n  %y, %mean, %rstd = graph.layer_norm %z, %w, %b eps 1.0e-5 : " + x +
                         ", " + w + ", " + w + "\n";
      func::FuncOp alone = parse("func.func @\"" + name + "\"" + norm + body +
                                     "  return %y, %rstd : " + x + ", " + rows + "\n}",
                                 name);
      func::FuncOp among = parse(
          "func.func @\"" + name + "m\"" + norm + ", " + x + ", " + x + body +
              "  %e = graph.tanh %y : " + x + "\n  %d = graph.sub %e, %xw : " + x + ", " + x +
              "\n  return %y, %rstd, %d, %xw : " + x + ", " + rows + ", " + x + ", " + x + "\n}",
          name + "m");
      std::vector<HostTensor> arguments = randomArguments(alone);
      Options options;
      options.level = level;
      std::array<Case *, 2> both{};
      for (auto [i, function] : llvm::enumerate(std::array{alone, among})) {
        decompose(function);
        both[i] = add(function, arguments, options);
        ASSERT_TRUE(both[i]) << columns;
      }
      compile(level);
      for (Case *test : both)
        run(*test);
      for (size_t i = 0; i < 2; ++i)
        EXPECT_EQ(difference(both[1]->results()[i], both[0]->results()[i], 0), "")
            << "result " << i << " of " << columns << " columns for " << level;
    }
}

/// The chunks of rows decide how sums along the rows are grouped, and nothing else.
TEST_F(RowKernelTest, ChunksOfRows) {
  struct Shape {
    int rows, columns;
  };
  for (Shape shape : {Shape{3, 30000}, Shape{101, 517}, Shape{2, 9001}, Shape{1000, 48}}) {
    std::string w = "tensor<" + std::to_string(shape.columns) + "xf32>",
                x = "tensor<" + std::to_string(shape.rows) + "x" + std::to_string(shape.columns) +
                    "xf32>";
    std::string softmax =
        "  %e = graph.exp %x : " + x + "\n  %s = graph.reduce_sum %e dims [1] keep_dims : " + x +
        "\n  %p = graph.div %e, %s : " + x + ", tensor<" + std::to_string(shape.rows) + "x1xf32>\n";
    std::string sum = "  %t = graph.reduce_sum %p dims [0] : " + x +
                      "\n  %m = graph.reduce_max %p dims [0] : " + x +
                      "\n  %u = graph.add %t, %m : " + w + ", " + w + "\n";
    std::string name = std::to_string(shape.rows);
    func::FuncOp plain = parse("func.func @plain" + name + "(%x: " + x + ") -> " + x + " {\n" +
                                   softmax + "  return %p : " + x + "\n}",
                               "plain" + name);
    func::FuncOp sums =
        parse("func.func @sums" + name + "(%x: " + x + ") -> (" + x + ", " + w + ") {\n" + softmax +
                  sum + "  return %p, %u : " + x + ", " + w + "\n}",
              "sums" + name);
    std::vector<HostTensor> arguments = randomArguments(plain);
    std::vector<Case *> plains, withSums;
    for (int threads : {1, 2, 3, 5}) {
      Options options;
      options.threads = threads;
      plains.push_back(add(plain, arguments, options));
      withSums.push_back(add(sums, arguments, options));
      ASSERT_TRUE(plains.back() && withSums.back());
      EXPECT_LE(withSums.back()->kernel->getChunks(), std::min(threads, shape.rows));
    }
    EXPECT_GT(withSums.back()->kernel->getChunks(), 1);
    compile();
    for (auto [one, two] : llvm::zip_equal(plains, withSums)) {
      run(*one, 3);
      EXPECT_EQ(difference(one->results()[0], plains[0]->results()[0], 0), "");
      std::vector<HostTensor> first;
      for (int threads : {1, 2, 3, 5}) {
        run(*two, threads);
        EXPECT_EQ(difference(two->results()[0], plains[0]->results()[0], 0), "");
        if (first.empty())
          first = two->results();
        EXPECT_EQ(difference(two->results()[1], first[1], 0), "") << threads;
      }
      check(*two, 1e-5, /*inF64=*/true);
    }
  }
}

} // namespace
} // namespace deepshard
