//===- ElementwiseTest.cpp - elementwise reference kernels against the C library --------------===//

#include "TestTensors.h"

#include <cmath>
#include <limits>
#include <numbers>

using namespace deepshard::runtime;
using namespace deepshard::runtime::test;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

double epsilon(DType dtype) { return dtype == DType::F32 ? 6e-7 : 1e-14; }

/// Every element within a few roundings of the exact function of it.
void expectEach(const Tensor &found, const std::vector<double> &expected, const std::string &what) {
  const double tolerance = epsilon(found.desc.dtype);
  for (size_t i = 0; i < expected.size(); ++i) {
    const double value = found.get(static_cast<int64_t>(i));
    if (std::isfinite(expected[i]))
      ASSERT_LE(std::abs(value - expected[i]), tolerance * std::abs(expected[i]) + 1e-37)
          << what << " of element " << i << ": " << value << ", expected " << expected[i];
    else
      ASSERT_TRUE(value == expected[i] || (std::isnan(value) && std::isnan(expected[i])))
          << what << " " << value;
  }
}

struct UnaryCase {
  const char *name;
  double (*function)(double);
  double low, high;
};

const UnaryCase kUnary[] = {
    {"neg", [](double x) { return -x; }, -9, 9},
    {"abs", [](double x) { return std::abs(x); }, -9, 9},
    {"exp", [](double x) { return std::exp(x); }, -80, 80},
    {"log", [](double x) { return std::log(x); }, 1e-3, 100},
    {"sqrt", [](double x) { return std::sqrt(x); }, 0, 100},
    {"rsqrt", [](double x) { return 1 / std::sqrt(x); }, 1e-3, 100},
    {"reciprocal", [](double x) { return 1 / x; }, 1e-3, 100},
    {"sin", [](double x) { return std::sin(x); }, -20, 20},
    {"cos", [](double x) { return std::cos(x); }, -20, 20},
    {"tanh", [](double x) { return std::tanh(x); }, -10, 10},
    {"erf", [](double x) { return std::erf(x); }, -5, 5},
    {"ndtr", [](double x) { return std::erfc(-x / std::numbers::sqrt2) / 2; }, -5, 8},
    {"sigmoid", [](double x) { return 1 / (1 + std::exp(-x)); }, -30, 30},
    {"sign", [](double x) { return x > 0   ? 1.0
                                   : x < 0 ? -1.0
                                           : 0.0; }, -2, 2},
    {"floor", [](double x) { return std::floor(x); }, -9, 9},
};

TEST(Elementwise, UnaryOfAnyStrides) {
  Random random(1);
  for (const UnaryCase &each : kUnary)
    for (DType dtype : {DType::F32, DType::F64})
      for (int round = 0; round < 8; ++round) {
        const Sizes shape = randomShape(random, draw(random, 0, 4), 9);
        Tensor x = uniform(random, randomDesc(random, dtype, shape, true), each.low, each.high);
        Tensor y(randomDesc(random, dtype, shape, false));
        runThreads("reference", each.name, {}, {&x}, {&y});
        std::vector<double> expected;
        for (double value : x.values())
          expected.push_back(each.function(value));
        expectEach(y, expected, each.name);
      }
}

TEST(Elementwise, UnaryOfManyElements) {
  // Long enough for several threads, with a tail behind the last vector.
  Random random(2);
  for (const UnaryCase &each : kUnary)
    for (DType dtype : {DType::F32, DType::F64}) {
      Tensor x = uniform(random, dtype, {40013}, each.low, each.high);
      Tensor y(x.desc);
      runThreads("reference", each.name, {}, {&x}, {&y});
      std::vector<double> expected;
      for (double value : x.values())
        expected.push_back(each.function(value));
      expectEach(y, expected, each.name);
    }
}

TEST(Elementwise, UnaryAtTheEdges) {
  const std::vector<double> edges = {0.0,  -0.0, 1e-30, -1e-30,    1e-5,       100,
                                     -100, 1e30, -1e30, kInfinity, -kInfinity, kNaN};
  for (const UnaryCase &each : kUnary) {
    const std::string name = each.name;
    if (name == "sin" || name == "cos")
      continue; // of 1e30: the argument of the f32 kernel is another number
    for (DType dtype : {DType::F32, DType::F64}) {
      Tensor x(TensorDesc::contiguous(dtype, {static_cast<int64_t>(edges.size())}));
      Tensor y(x.desc);
      for (size_t i = 0; i < edges.size(); ++i)
        x.set(static_cast<int64_t>(i), edges[i]);
      runThreads("reference", name, {}, {&x}, {&y});
      std::vector<double> expected;
      for (double value : x.values()) {
        const double exact = each.function(value);
        expected.push_back(dtype == DType::F32 ? static_cast<double>(static_cast<float>(exact))
                                               : exact);
      }
      expectEach(y, expected, name);
    }
  }
}

double pythonRemainder(double a, double b) {
  const double rest = std::fmod(a, b);
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

struct BinaryCase {
  const char *name;
  double (*function)(double, double);
  bool hasIntegers;
};

const BinaryCase kBinary[] = {
    {"add", [](double a, double b) { return a + b; }, true},
    {"sub", [](double a, double b) { return a - b; }, true},
    {"mul", [](double a, double b) { return a * b; }, true},
    {"div", [](double a, double b) { return a / b; }, false},
    {"maximum",
     [](double a, double b) { return std::isnan(a)   ? a
                                     : std::isnan(b) ? b
                                                     : std::max(a, b); },
     true},
    {"minimum",
     [](double a, double b) { return std::isnan(a)   ? a
                                     : std::isnan(b) ? b
                                                     : std::min(a, b); },
     true},
    {"remainder", pythonRemainder, true},
};

TEST(Elementwise, BinaryOfAnyStrides) {
  Random random(3);
  for (const BinaryCase &each : kBinary)
    for (DType dtype : {DType::F32, DType::F64, DType::I64, DType::I32, DType::I8}) {
      const bool isFloat = dtype == DType::F32 || dtype == DType::F64;
      if (!isFloat && !each.hasIntegers)
        continue;
      for (int round = 0; round < 12; ++round) {
        const Sizes shape = randomShape(random, draw(random, 0, 4), 9);
        Tensor a = uniform(random, randomDesc(random, dtype, shape, true), -11, 11);
        Tensor b = uniform(random, randomDesc(random, dtype, shape, true), 1, 9);
        Tensor y(randomDesc(random, dtype, shape, false));
        runThreads("reference", each.name, {}, {&a, &b}, {&y});
        std::vector<double> expected;
        for (int64_t i = 0; i < y.desc.elements(); ++i)
          expected.push_back(each.function(a.get(i), b.get(i)));
        if (std::string(each.name) == "remainder" && dtype == DType::F32)
          for (double &value : expected)
            value = static_cast<float>(value);
        expectEach(y, expected, each.name);
      }
    }
}

TEST(Elementwise, NaNPassesThroughMaximum) {
  for (const char *name : {"maximum", "minimum"})
    for (bool isFirst : {false, true}) {
      Tensor a(TensorDesc::contiguous(DType::F32, {33})), b(a.desc), y(a.desc);
      for (int64_t i = 0; i < 33; ++i)
        (isFirst ? a : b).set(i, kNaN);
      runThreads("reference", name, {}, {&a, &b}, {&y});
      for (double value : y.values())
        EXPECT_TRUE(std::isnan(value)) << name;
    }
}

TEST(Elementwise, PowOfUniformAndOfMixedExponents) {
  Random random(4);
  for (DType dtype : {DType::F32, DType::F64})
    for (double exponent : {2.0, 3.0, 0.5, -1.0, 2.7, 0.0}) {
      Tensor x = uniform(random, dtype, {7, 9}, 0.1, 4), y(x.desc);
      TensorDesc repeated = x.desc;
      repeated.strides = {0, 0};
      Tensor uniformExponent(repeated), exponents(x.desc);
      uniformExponent.set(0, exponent);
      std::vector<double> expected;
      for (int64_t i = 0; i < 63; ++i) {
        exponents.set(i, exponent);
        expected.push_back(std::pow(x.get(i), uniformExponent.get(0)));
      }
      runThreads("reference", "pow", {}, {&x, &uniformExponent}, {&y});
      expectEach(y, expected, "pow");
      const std::vector<char> first = y.bytes;
      runThreads("reference", "pow", {}, {&x, &exponents}, {&y});
      EXPECT_TRUE(first == y.bytes) << "a repeated exponent gives other bits";
    }
}

TEST(Elementwise, IntegersNeitherTrapNorOverflow) {
  constexpr int64_t kSmallest = std::numeric_limits<int64_t>::min();
  struct Case {
    const char *name;
    int64_t a, b, expected;
  };
  for (const Case &each :
       {Case{"div", 7, 0, 0}, Case{"div", -7, 2, -3}, Case{"div", kSmallest, -1, kSmallest},
        Case{"remainder", -7, 3, 2}, Case{"remainder", 7, -3, -2}, Case{"remainder", 7, 0, 0},
        Case{"remainder", kSmallest, -1, 0}, Case{"add", kSmallest, -1, -(kSmallest + 1)},
        Case{"pow", -2, 5, -32}, Case{"pow", 3, -1, 0}, Case{"pow", -1, -3, -1}}) {
    Tensor a(TensorDesc::contiguous(DType::I64, {})), b(a.desc), y(a.desc);
    std::memcpy(a.bytes.data(), &each.a, 8);
    std::memcpy(b.bytes.data(), &each.b, 8);
    runThreads("reference", each.name, {}, {&a, &b}, {&y});
    int64_t found = 0;
    std::memcpy(&found, y.bytes.data(), 8);
    EXPECT_EQ(found, each.expected) << each.name << " of " << each.a << " and " << each.b;
  }
}

TEST(Elementwise, LogicalAndCompareAndSelect) {
  Random random(5);
  for (int round = 0; round < 20; ++round) {
    const Sizes shape = randomShape(random, draw(random, 0, 3), 9);
    auto bits = [&] {
      Tensor tensor(randomDesc(random, DType::I1, shape, true));
      for (int64_t i = 0; i < tensor.desc.elements(); ++i)
        tensor.set(i, static_cast<double>(draw(random, 0, 1)));
      return tensor;
    };
    Tensor p = bits(), q = bits(), result(randomDesc(random, DType::I1, shape, false));
    auto expectBits = [&](const char *name, auto function) {
      for (int64_t i = 0; i < result.desc.elements(); ++i)
        ASSERT_EQ(result.get(i), static_cast<double>(function(i))) << name;
    };
    runThreads("reference", "and", {}, {&p, &q}, {&result});
    expectBits("and", [&](int64_t i) { return p.get(i) != 0 && q.get(i) != 0; });
    runThreads("reference", "or", {}, {&p, &q}, {&result});
    expectBits("or", [&](int64_t i) { return p.get(i) != 0 || q.get(i) != 0; });
    runThreads("reference", "xor", {}, {&p, &q}, {&result});
    expectBits("xor", [&](int64_t i) { return p.get(i) != q.get(i); });
    runThreads("reference", "not", {}, {&p}, {&result});
    expectBits("not", [&](int64_t i) { return p.get(i) == 0; });
    for (DType dtype : {DType::F32, DType::F64, DType::I64, DType::I32, DType::I8}) {
      Tensor a = uniform(random, randomDesc(random, dtype, shape, true), -2, 2);
      Tensor b = uniform(random, randomDesc(random, dtype, shape, true), -2, 2);
      auto compare = [&](const char *direction, auto function) {
        runThreads("reference", "compare", {{"direction", std::string(direction)}}, {&a, &b},
                   {&result});
        expectBits(direction, [&](int64_t i) { return function(a.get(i), b.get(i)); });
      };
      compare("eq", [](double x, double y) { return x == y; });
      compare("ne", [](double x, double y) { return x != y; });
      compare("lt", [](double x, double y) { return x < y; });
      compare("le", [](double x, double y) { return x <= y; });
      compare("gt", [](double x, double y) { return x > y; });
      compare("ge", [](double x, double y) { return x >= y; });
      Tensor chosen(randomDesc(random, dtype, shape, false));
      runThreads("reference", "select", {}, {&p, &a, &b}, {&chosen});
      for (int64_t i = 0; i < chosen.desc.elements(); ++i)
        ASSERT_EQ(chosen.get(i), p.get(i) != 0 ? a.get(i) : b.get(i)) << "select";
    }
  }
}

TEST(Elementwise, ConvertBetweenAllTypes) {
  const std::vector<double> values = {0, 1, -1, 2.5, -2.5, 3.999, 100, -100, 0.25};
  const DType types[] = {DType::F32, DType::F64, DType::I64, DType::I32, DType::I8, DType::I1};
  for (DType from : types)
    for (DType to : types) {
      Tensor x(TensorDesc::contiguous(from, {static_cast<int64_t>(values.size())}));
      Tensor y(TensorDesc::contiguous(to, x.desc.shape));
      for (size_t i = 0; i < values.size(); ++i)
        x.set(static_cast<int64_t>(i), values[i]);
      runThreads("reference", "convert", {}, {&x}, {&y});
      Tensor expected(y.desc);
      for (int64_t i = 0; i < x.desc.elements(); ++i)
        expected.set(i, x.get(i));
      EXPECT_TRUE(y.bytes == expected.bytes) << nameOf(from) << " to " << nameOf(to);
    }
}

TEST(Elementwise, ConvertSaturatesWhatAnIntegerCannotHold) {
  Tensor x(TensorDesc::contiguous(DType::F32, {4})), y(TensorDesc::contiguous(DType::I8, {4}));
  x.set(0, 1000);
  x.set(1, -1000);
  x.set(2, kNaN);
  x.set(3, kInfinity);
  runThreads("reference", "convert", {}, {&x}, {&y});
  EXPECT_EQ(y.values(), (std::vector<double>{127, -128, 0, 127}));
}

TEST(Elementwise, ConvertToHalfPrecisionAndBackIsNearest) {
  Random random(6);
  for (DType half : {DType::BF16, DType::F16}) {
    const int bits = half == DType::BF16 ? 8 : 11; // of the significand
    for (DType wide : {DType::F32, DType::F64}) {
      Tensor x = uniform(random, wide, {999}, -50, 50);
      const double step = std::ldexp(1.0, -bits);
      x.set(0, 1 + step);     // halfway between two numbers: to even
      x.set(1, 1 + 3 * step); // halfway: to even, upwards
      x.set(2, kInfinity);
      x.set(3, kNaN);
      Tensor y(TensorDesc::contiguous(half, x.desc.shape)), back(x.desc);
      runThreads("reference", "convert", {}, {&x}, {&y});
      runThreads("reference", "convert", {}, {&y}, {&back});
      EXPECT_EQ(back.get(0), 1);
      EXPECT_EQ(back.get(1), 1 + 4 * step);
      EXPECT_EQ(back.get(2), kInfinity);
      EXPECT_TRUE(std::isnan(back.get(3)));
      for (int64_t i = 4; i < 999; ++i)
        EXPECT_LE(std::abs(back.get(i) - x.get(i)), step * std::abs(x.get(i)));
    }
  }
}

TEST(Elementwise, ResultsMayLieOverOperands) {
  Random random(7);
  Tensor x = uniform(random, DType::F32, {5000}), b = uniform(random, DType::F32, {5000});
  std::vector<double> expected;
  for (int64_t i = 0; i < 5000; ++i)
    expected.push_back(x.get(i) * b.get(i));
  const KernelSpec spec{"mul", {x.desc, b.desc}, {x.desc}, {}, 2};
  void *in[] = {x.bytes.data(), b.bytes.data()}, *out[] = {x.bytes.data()};
  findProvider("reference")->prepare(spec)->run({in, out, nullptr});
  expectEach(x, expected, "mul in place");
}

TEST(Elementwise, FaultsAreNamed) {
  const KernelProvider &reference = *findProvider("reference");
  auto f32 = [](Sizes shape) { return TensorDesc::contiguous(DType::F32, std::move(shape)); };
  EXPECT_EQ(reference.whyNot({"add", {f32({3}), f32({1})}, {f32({3})}, {}, 1}),
            "operand 1 is f32[1], the result f32[3]: an elementwise kernel broadcasts by strides "
            "of 0 only");
  EXPECT_EQ(reference.whyNot({"exp",
                              {TensorDesc::contiguous(DType::I64, {3})},
                              {TensorDesc::contiguous(DType::I64, {3})},
                              {},
                              1}),
            "operand 0 has type i64, expected f32 or f64");
  EXPECT_EQ(reference.whyNot({"frobnicate", {}, {}, {}, 1}),
            "there is no reference kernel called frobnicate");
  TensorDesc repeated{DType::F32, {3}, {0}};
  EXPECT_TRUE(reference.whyNot({"neg", {f32({3})}, {repeated}, {}, 1}));
  EXPECT_EQ(findProvider("nobody"), nullptr);
}

} // namespace
