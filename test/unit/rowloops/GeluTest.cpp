//===- GeluTest.cpp - gelu, its gradient and sigmoid over the whole range of f32 --------------===//
//
// Generated kernels and the reference kernels against the formulas in long double, at hundreds of
// points of each binade and sign. A formula that cancels for negative x is off by everything there.
//
// What may differ is what rounding does to a formula that does not cancel: a few units in the last
// place of each summand, times the exponent of its e^v where v itself was rounded, and what falls
// below the smallest normal f32 on the way.
//
//===------------------------------------------------------------------------------------------===//

#include "../codegen/FloatRange.h"
#include "RowKernelTesting.h"

#include "runtime/kernels/CpuLevel.h"

#include <numbers>

using namespace mlir;

namespace deepshard {
namespace {

using graph::HostTensor;
using Real = long double;

constexpr Real kUnit = 0x1p-23L;
constexpr Real kRootTwo = std::numbers::sqrt2_v<Real>;
constexpr Real kRootPi = 1 / std::numbers::inv_sqrtpi_v<Real>;

/// A result, and the most by which rounding may change it.
struct Exact {
  Real value, error;
};

Real density(Real x) { return std::exp(-x * x / 2) / (kRootTwo * kRootPi); }

Exact distribution(Real x) {
  Real value = std::erfc(-x / kRootTwo) / 2;
  return {value, 5 * kUnit * value + 0x1p-149L};
}

Exact gelu(Real x) {
  Exact phi = distribution(x);
  return {x * phi.value, std::abs(x) * phi.error + kUnit * std::abs(x * phi.value) + 0x1p-149L};
}

Exact geluGrad(Real x) {
  Exact phi = distribution(x);
  Real slope = x * density(x), error = kUnit * (5 + x * x / 2) * std::abs(slope);
  return {phi.value + slope, phi.error + error + kUnit * (phi.value + std::abs(slope)) +
                                 std::abs(x) * 0x1p-126L + 0x1p-126L};
}

Real twoU(Real x) { return 2 * kRootTwo / kRootPi * (x + 0.044715L * x * x * x); }

Exact tanhGelu(Real x) {
  Real v = twoU(x), value = x / (1 + std::exp(-v));
  return {value, kUnit * (5 + 2 * std::abs(std::min<Real>(v, 0))) * std::abs(value) +
                     std::abs(x) * 0x1p-126L + 0x1p-149L};
}

Exact tanhGeluGrad(Real x) {
  Real v = twoU(x), gate = 1 / (1 + std::exp(-v)), rest = 1 / (1 + std::exp(v));
  Real inner = 2 * kRootTwo / kRootPi * (1 + 3 * 0.044715L * x * x);
  Real slope = std::abs(x) > 100 ? 0 : x * gate * rest * inner;
  Real error = kUnit * (8 + 2 * std::abs(v)) * (gate + std::abs(slope));
  return {gate + slope, (std::abs(x) > 100 ? kUnit * gate : error) +
                            (1 + std::abs(x) * std::min<Real>(inner, 1e3L)) * 0x1p-126L};
}

/// Within 5 units in the last place.
Exact sigmoid(Real x) {
  Real value = 1 / (1 + std::exp(-x));
  int exponent = std::max(std::ilogb(value), -126);
  return {value, 5 * std::ldexp(kUnit, exponent)};
}

class GeluTest : public RowKernelTest {
protected:
  /// `op` is of %x, or of %dy = 1 and %x.
  void compare(const std::string &op, bool isGradient, Exact (*exact)(Real)) {
    std::vector<float> points = wholeRange(400);
    std::erase_if(points, [](float x) { return std::isinf(x); });
    auto count = static_cast<int64_t>(points.size());
    HostTensor x(RankedTensorType::get({count}, Float32Type::get(&context))), dy(x.getType());
    llvm::copy(points, x.as<float>());
    std::fill_n(dy.as<float>(), count, 1.0f);
    std::string type = "tensor<" + std::to_string(count) + "xf32>";
    func::FuncOp function = parse("func.func @f(%dy: " + type + ", %x: " + type + ") -> " + type +
                                  " {\n  %y = graph." + op + (isGradient ? " %dy," : "") +
                                  " %x : " + type + "\n  return %y : " + type + "\n}");
    std::vector<HostTensor> arguments = {dy, x};
    check("reference", op, x, expected(function, arguments)[0], exact);
    decompose(function);
    for (std::string level : {"x86-64-v3", "x86-64-v4"}) {
      if (!runtime::offers(runtime::cpuLevel(), level))
        continue;
      Options options;
      options.level = level;
      Case *test = add(function, arguments, options);
      ASSERT_TRUE(test);
      compile(level);
      run(*test);
      check(level, op, x, test->results()[0], exact);
    }
  }

  static void check(const std::string &who, const std::string &op, HostTensor x, HostTensor y,
                    Exact (*exact)(Real)) {
    Real worst = 0;
    for (int64_t i = 0; i < x.getType().getNumElements(); ++i) {
      float point = x.as<float>()[i], found = y.as<float>()[i];
      if (std::isnan(point)) {
        ASSERT_TRUE(std::isnan(found)) << who << ": " << op << " of NaN is " << found;
        continue;
      }
      auto [value, error] = exact(point);
      // Not by subtracting what is infinite: of a product above the largest f32.
      if (std::abs(value) >= 0x1.fffffep127L && found == static_cast<float>(value))
        continue;
      Real off = std::abs(found - value);
      ASSERT_LE(off, error) << who << ": " << op << " of " << point << " is " << found
                            << ", exactly " << static_cast<double>(value);
      worst = std::max(worst, off / error);
    }
    RecordProperty("share_of_error_" + who, std::to_string(static_cast<double>(worst)));
  }
};

TEST_F(GeluTest, Sigmoid) { compare("sigmoid", false, sigmoid); }
TEST_F(GeluTest, Distribution) { compare("ndtr", false, distribution); }
TEST_F(GeluTest, ByErf) { compare("gelu", false, gelu); }
TEST_F(GeluTest, GradientByErf) { compare("gelu_grad", true, geluGrad); }
TEST_F(GeluTest, ByTanh) { compare("gelu tanh", false, tanhGelu); }
TEST_F(GeluTest, GradientByTanh) { compare("gelu_grad tanh", true, tanhGeluGrad); }

} // namespace
} // namespace deepshard
