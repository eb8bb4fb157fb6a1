//===- RecognizeGelu.cpp - gelu written out by tanh or erf ------------------------------------===//
//
// An expression is read as a polynomial in two unknowns: x, and g = tanh(u) or erf(u). Every tanh
// and erf is a start: u must be c1 x + c3 x^3 for some x among the values that it is computed from,
// and a product above g must be x/2 + x g/2. Comparing polynomials covers all orders in which sums
// and products may be written. Expressions are bounded in size, so the cost is a constant per tanh
// or erf.
//
//===------------------------------------------------------------------------------------------===//

#include "passes/simplify/Passes.h"

#include "dialects/graph/Graph.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/PatternMatch.h"
#include "passes/simplify/Match.h"

#include <array>
#include <cmath>
#include <numbers>

using namespace mlir;

namespace deepshard {

#define GEN_PASS_DEF_RECOGNIZEGELUPASS
#include "passes/simplify/Passes.h.inc"

namespace {

/// Coefficients of x^i g^j, i <= 3, j <= 1.
struct Polynomial {
  static constexpr int kDegreeX = 3, kDegreeG = 1;
  std::array<std::array<double, kDegreeG + 1>, kDegreeX + 1> c{};

  static Polynomial monomial(int x, int g, double factor = 1) {
    Polynomial p;
    p.c[x][g] = factor;
    return p;
  }

  Polynomial plus(const Polynomial &other, double sign) const {
    Polynomial sum = *this;
    for (int i = 0; i <= kDegreeX; ++i)
      for (int j = 0; j <= kDegreeG; ++j)
        sum.c[i][j] += sign * other.c[i][j];
    return sum;
  }

  /// Nothing if a power grows too high.
  std::optional<Polynomial> times(const Polynomial &other) const {
    Polynomial product;
    for (int i = 0; i <= kDegreeX; ++i)
      for (int j = 0; j <= kDegreeG; ++j)
        for (int k = 0; k <= kDegreeX; ++k)
          for (int l = 0; l <= kDegreeG; ++l) {
            double term = c[i][j] * other.c[k][l];
            if (term == 0)
              continue;
            if (i + k > kDegreeX || j + l > kDegreeG)
              return std::nullopt;
            product.c[i + k][j + l] += term;
          }
    return product;
  }

  /// Whether each coefficient is within `tolerance` of `expected`'s, relatively.
  bool matches(const Polynomial &expected, double tolerance) const {
    for (int i = 0; i <= kDegreeX; ++i)
      for (int j = 0; j <= kDegreeG; ++j)
        if (!(std::abs(c[i][j] - expected.c[i][j]) <= tolerance * std::abs(expected.c[i][j])))
          return false;
    return true;
  }
};

/// Reads expressions in given unknowns.
class Reader {
public:
  Reader(Value x, Value g) : x(x), g(g) {}

  std::optional<Polynomial> read(Value value) {
    if (value == x)
      return Polynomial::monomial(1, 0);
    if (value == g)
      return Polynomial::monomial(0, 1);
    if (std::optional<double> number = splatOf(value))
      return Polynomial::monomial(0, 0, *number);
    Operation *op = value.getDefiningOp();
    if (!op || ++ops > kMaxOps ||
        !isa<graph::AddOp, graph::SubOp, graph::MulOp, graph::DivOp, graph::PowOp, graph::NegOp>(
            op))
      return std::nullopt;
    std::optional<Polynomial> lhs = read(op->getOperand(0));
    if (!lhs)
      return std::nullopt;
    if (isa<graph::NegOp>(op))
      return Polynomial().plus(*lhs, -1);
    if (isa<graph::DivOp, graph::PowOp>(op))
      return readWithNumber(op, *lhs);
    std::optional<Polynomial> rhs = read(op->getOperand(1));
    if (!rhs)
      return std::nullopt;
    if (isa<graph::MulOp>(op))
      return lhs->times(*rhs);
    return lhs->plus(*rhs, isa<graph::AddOp>(op) ? 1 : -1);
  }

private:
  static constexpr int kMaxOps = 64;

  std::optional<Polynomial> readWithNumber(Operation *op, const Polynomial &base) {
    std::optional<double> number = splatOf(op->getOperand(1));
    if (!number || *number == 0)
      return std::nullopt;
    if (isa<graph::DivOp>(op))
      return base.times(Polynomial::monomial(0, 0, 1 / *number));
    if (*number != 2 && *number != 3)
      return std::nullopt;
    std::optional<Polynomial> power = base.times(base);
    return power && *number == 3 ? power->times(base) : power;
  }

  Value x, g;
  int ops = 0;
};

/// How far a coefficient may lie from the formula's: a product of two or three numbers rounded to
/// the element type.
double toleranceFor(Type elementType) {
  unsigned bits = APFloat::semanticsPrecision(cast<FloatType>(elementType).getFloatSemantics());
  return std::ldexp(1.0, 2 - static_cast<int>(std::min(bits, 24u)));
}

/// The values that `u` is computed from by arithmetic, nearest first: every candidate for x.
SmallVector<Value> candidates(Value u) {
  constexpr size_t kMaxCandidates = 24;
  SmallVector<Value> values{u};
  for (size_t i = 0; i < values.size() && values.size() < kMaxCandidates; ++i) {
    Operation *op = values[i].getDefiningOp();
    if (!op ||
        !isa<graph::AddOp, graph::SubOp, graph::MulOp, graph::DivOp, graph::PowOp, graph::NegOp>(
            op))
      continue;
    for (Value operand : op->getOperands())
      if (!llvm::is_contained(values, operand) && !splatOf(operand))
        values.push_back(operand);
  }
  return values;
}

/// The x for which `u` is the argument of gelu's tanh or erf.
Value argumentOf(Value u, bool isTanh) {
  Polynomial expected = Polynomial::monomial(1, 0, 1 / std::numbers::sqrt2);
  if (isTanh) {
    double c = std::sqrt(2 / std::numbers::pi);
    expected = Polynomial::monomial(1, 0, c).plus(Polynomial::monomial(3, 0, 0.044715 * c), 1);
  }
  double tolerance = toleranceFor(tensorType(u).getElementType());
  for (Value x : candidates(u)) {
    std::optional<Polynomial> p =
        x.getType() == u.getType() ? Reader(x, Value()).read(u) : std::nullopt;
    if (p && p->matches(expected, tolerance))
      return x;
  }
  return {};
}

/// The op above `g` that computes x/2 + x g/2.
Operation *rootAbove(Value x, Value g) {
  constexpr int kMaxSteps = 6;
  Polynomial expected = Polynomial::monomial(1, 0, 0.5).plus(Polynomial::monomial(1, 1, 0.5), 1);
  double tolerance = toleranceFor(tensorType(x).getElementType());
  Value value = g;
  for (int step = 0; step < kMaxSteps && value.hasOneUse(); ++step) {
    Operation *user = *value.getUsers().begin();
    if (user->getNumResults() != 1 || user->getResult(0).getType() != x.getType())
      return nullptr;
    value = user->getResult(0);
    std::optional<Polynomial> p = Reader(x, g).read(value);
    if (p && p->matches(expected, tolerance))
      return user;
  }
  return nullptr;
}

struct RecognizeGelu : impl::RecognizeGeluPassBase<RecognizeGelu> {
  void runOnOperation() override {
    SmallVector<Operation *> starts;
    getOperation().walk([&](Operation *op) {
      if (isa<graph::TanhOp, graph::ErfOp>(op))
        starts.push_back(op);
    });
    IRRewriter rewriter(&getContext());
    for (Operation *start : starts) {
      Value g = start->getResult(0);
      bool isTanh = isa<graph::TanhOp>(start);
      Value x = argumentOf(start->getOperand(0), isTanh);
      Operation *root = x ? rootAbove(x, g) : nullptr;
      if (!root)
        continue;
      rewriter.setInsertionPoint(root);
      auto gelu = graph::GeluOp::create(rewriter, root->getLoc(), x, isTanh);
      rewriter.replaceOp(root, gelu.getY());
    }
    eraseDeadOps(getOperation());
  }
};

} // namespace
} // namespace deepshard
