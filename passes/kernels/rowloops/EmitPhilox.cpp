//===- EmitPhilox.cpp - random words of elements ----------------------------------------------===//

#include "passes/kernels/rowloops/EmitPhilox.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include <array>

using namespace mlir;

namespace deepshard {

namespace {

/// Elements that share the four words of a counter.
constexpr int64_t kGroup = 4;

struct PhiloxEmitter {
  OpBuilder &b;
  Location loc;
  const PhiloxKey &key;

  static VectorType typeLike(Value vector, Type element) {
    return VectorType::get(cast<VectorType>(vector.getType()).getShape(), element);
  }
  Value splat(Value scalar, int64_t lanes) {
    return vector::BroadcastOp::create(b, loc, VectorType::get(lanes, scalar.getType()), scalar);
  }
  Value constantLike(Value vector, uint64_t value) {
    auto type = cast<VectorType>(vector.getType());
    const APInt bits(type.getElementTypeBitWidth(), value);
    return arith::ConstantOp::create(b, loc, DenseElementsAttr::get(type, bits));
  }
  /// start, start + 1, ...
  Value sequence(Value start, int64_t lanes) {
    auto numbers = llvm::to_vector(llvm::seq<int64_t>(lanes));
    auto type = VectorType::get(lanes, b.getI64Type());
    return arith::AddIOp::create(
        b, loc, splat(start, lanes),
        arith::ConstantOp::create(b, loc, DenseElementsAttr::get(type, ArrayRef(numbers))));
  }
  Value low(Value x) { return arith::TruncIOp::create(b, loc, typeLike(x, b.getI32Type()), x); }
  Value high(Value x) { return low(shiftRight(x, 32)); }
  Value shiftRight(Value x, uint64_t bits) {
    return arith::ShRUIOp::create(b, loc, x, constantLike(x, bits));
  }
  Value exclusive(Value x, Value y) { return arith::XOrIOp::create(b, loc, x, y); }
  Value product(Value x, uint64_t factor) {
    Value wide = arith::ExtUIOp::create(b, loc, typeLike(x, b.getI64Type()), x);
    return arith::MulIOp::create(b, loc, wide, constantLike(wide, factor));
  }
  Value interleave(Value x, Value y) {
    const int64_t lanes = cast<VectorType>(x.getType()).getNumElements();
    SmallVector<int64_t> mask;
    for (int64_t lane : llvm::seq(lanes))
      mask.append({lane, lanes + lane});
    return vector::ShuffleOp::create(b, loc, x, y, mask);
  }

  /// Philox4x32-10: the words of every group.
  std::array<Value, kGroup> words(Value groups) {
    const int64_t lanes = cast<VectorType>(groups.getType()).getNumElements();
    std::array<Value, kGroup> word = {low(groups), high(groups), splat(key.id, lanes),
                                      splat(key.step, lanes)};
    Value key0 = splat(key.seedLow, lanes), key1 = splat(key.seedHigh, lanes);
    for (int round = 0; round < 10; ++round) {
      Value product0 = product(word[0], 0xD2511F53), product1 = product(word[2], 0xCD9E8D57);
      word = {exclusive(exclusive(high(product1), word[1]), key0), low(product1),
              exclusive(exclusive(high(product0), word[3]), key1), low(product0)};
      key0 = arith::AddIOp::create(b, loc, key0, constantLike(key0, 0x9E3779B9));
      key1 = arith::AddIOp::create(b, loc, key1, constantLike(key1, 0xBB67AE85));
    }
    return word;
  }

  /// Of whole groups, each computed once.
  Value ofGroups(Value first, int64_t width) {
    Value group = arith::ShRUIOp::create(b, loc, first,
                                         arith::ConstantOp::create(b, loc, b.getI64IntegerAttr(2)));
    std::array<Value, kGroup> word = words(sequence(group, width / kGroup));
    return interleave(interleave(word[0], word[2]), interleave(word[1], word[3]));
  }

  /// Every lane computes the words of its group and takes its own.
  Value ofElements(Value first, int64_t width) {
    Value element = sequence(first, width);
    std::array<Value, kGroup> word = words(shiftRight(element, 2));
    Value lane = low(element), which = arith::AndIOp::create(b, loc, lane, constantLike(lane, 3));
    Value own = word[3];
    for (int i = 2; i >= 0; --i) {
      Value is = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, which,
                                       constantLike(which, static_cast<uint64_t>(i)));
      own = arith::SelectOp::create(b, loc, is, word[static_cast<size_t>(i)], own);
    }
    return own;
  }
};

} // namespace

Value emitPhiloxWords(OpBuilder &builder, Location location, Value first, int64_t width,
                      const PhiloxKey &key) {
  PhiloxEmitter emitter{builder, location, key};
  if (width % kGroup != 0)
    return emitter.ofElements(first, width);
  auto constant = [&](int64_t value) {
    return arith::ConstantOp::create(builder, location, builder.getI64IntegerAttr(value));
  };
  // LLVM drops the branch that is not taken where sizes decide it.
  Value within = arith::AndIOp::create(builder, location, first, constant(kGroup - 1));
  Value isWhole =
      arith::CmpIOp::create(builder, location, arith::CmpIPredicate::eq, within, constant(0));
  auto branch = [&](auto words) {
    return [&emitter, words, first, width](OpBuilder &, Location loc) {
      scf::YieldOp::create(emitter.b, loc, (emitter.*words)(first, width));
    };
  };
  return scf::IfOp::create(builder, location, isWhole, branch(&PhiloxEmitter::ofGroups),
                           branch(&PhiloxEmitter::ofElements))
      .getResult(0);
}

} // namespace deepshard
