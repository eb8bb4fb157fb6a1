//===- RingAttention.cpp - keys and values go round, queries stay -----------------------------===//
//
// n ranks hold block i of n equal ones of queries, keys and values each (Liu et al., arXiv
// 2310.01889). At step r rank i works on block j = (i - r) mod n of keys and values, which it has
// from rank i - 1 and hands on to rank i + 1 while it computes:
//
//             rank 0   rank 1   rank 2   rank 3
//   step 0     0,0      1,1      2,2      3,3      query block, key block
//   step 1     0,3      1,0      2,1      3,2      with `causal`, blocks of keys behind the queries
//   step 2     0,2      1,3      2,0      3,1      (0,3 and 0,2 and 1,3 ...) are hidden: the kernel
//   step 3     0,1      1,2      2,3      3,0      does nothing for them
//
// Invariant forward: (o, lse) is attention to the blocks seen so far, so that two of them merge by
// the running softmax: lse = log(e^lse1 + e^lse2), o = e^(lse1 - lse) o1 + e^(lse2 - lse) o2.
// Backward: with o and lse of all blocks, the gradient op on one block of keys gives that block's
// part of dq, and of dk and dv; dq adds up here, dk and dv travel with their block, one step more
// than it, to come home.
//
// A rank holds at most two blocks of keys and values beyond its own: the one it works on and the
// one it receives. n - 1 hand-overs of k and v; n of dk and dv. Sums are kept in f32 where the
// tensors are narrower.
//
//===------------------------------------------------------------------------------------------===//

#include "dialects/graph/Attention.h"

#include "dialects/graph/PrimitiveBuilder.h"

#include <limits>

using namespace mlir;

namespace deepshard::graph {

namespace {

/// One block of queries against one block of keys after the other.
template <typename Op> class RingSteps {
public:
  RingSteps(Op op, PartitionBuilder &partition, unsigned factor)
      : b(partition.builder(), partition.location()), op(op), partition(partition), factor(factor),
        parts(partition.numParts(factor)), length(partition.localSize(factor)) {
    k = partition.operand(op.getKMutable().getOperandNumber());
    v = partition.operand(op.getVMutable().getOperandNumber());
    if (op.getCounter())
      first = queriesAt();
    if (op.getCounter() || op.getCausal())
      index = partition.partIndex(factor);
  }

  /// Receives the keys and values of the next step; before the work of this one, so that they
  /// travel meanwhile.
  void receive() {
    if (step + 1 == parts)
      return;
    nextK = rotate(k);
    nextV = rotate(v);
  }
  Value rotate(Value value) { return partition.rotate(value, factor, 1); }

  /// The op on the own queries and the keys at hand.
  Op compute() {
    Value ahead = step > 0 && index ? queriesAhead() : nullptr;
    Value offsets = first ? offsetsOf(ahead) : nullptr;
    auto local = cast<Op>(partition.clone(op));
    local.getKMutable().assign(k);
    local.getVMutable().assign(v);
    if (ahead && op.getCausal())
      local.getDiagonalMutable().assign(ahead);
    if (offsets)
      dropAt(local, op, offsets);
    return local;
  }

  /// Goes on to the keys that were received; false: these were the last.
  bool advance() {
    k = nextK;
    v = nextV;
    return ++step < parts;
  }

  /// Sums are kept in this type.
  Value widened(Value x) {
    Type type = PrimitiveBuilder::elementTypeOf(x);
    return type.isF64() ? x : b.convert(x, Float32Type::get(type.getContext()));
  }
  Value narrowed(Value x) { return b.convert(x, PrimitiveBuilder::elementTypeOf(op.getQ())); }

  PrimitiveBuilder b;
  int64_t step = 0;

private:
  static constexpr unsigned kKeyDim = 3;

  /// Where the scores of the own queries and key 0 begin, one i64 per dimension.
  Value queriesAt() {
    TensorFactors scores = partition.rule().operands[op.getQMutable().getOperandNumber()];
    SmallVector<int64_t> shape(partition.localType(op.getQ().getType(), scores).getShape());
    scores[kKeyDim].clear();
    return partition.offsets(scores, shape);
  }

  /// The index of the first own query less that of the first key at hand: r blocks, or r - n where
  /// the ring wraps.
  Value queriesAhead() {
    Value isBehind = b.compare("ge", index, b.scalarLike(index, static_cast<double>(step)));
    auto ahead = [&](int64_t blocks) {
      return b.scalarLike(index, static_cast<double>(blocks * length));
    };
    return b.select(isBehind, ahead(step), ahead(step - parts));
  }

  /// Where the scores of this step begin: key (index * length - ahead).
  Value offsetsOf(Value ahead) {
    Value key = b.mul(index, static_cast<double>(length));
    if (ahead)
      key = b.sub(key, ahead);
    Value zero = b.reshape(b.scalarLike(index, 0), 1);
    SmallVector<Value> starts(kKeyDim, zero);
    starts.push_back(b.reshape(key, 1));
    Value keys = ConcatOp::create(partition.builder(), partition.location(), starts, 0);
    return b.add(first, keys);
  }

  Op op;
  PartitionBuilder &partition;
  unsigned factor;
  int64_t parts, length;
  Value k, v, nextK, nextV;
  Value first, index; // null if the op needs neither
};

/// Attention to some of the keys, in the type that sums are kept in; lse is b x h x s x 1.
struct Seen {
  Value o, lse;
};

/// Attention to the keys of both. -inf marks a query that sees no key; it must not make a NaN.
Seen merge(PrimitiveBuilder &b, OpBuilder &builder, Location location, const Seen &one,
           const Seen &other) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  Value largest = MaximumOp::create(builder, location, one.lse, other.lse);
  Value seesNone = b.compare("eq", largest, b.scalarLike(largest, -kInfinity));
  Value base = b.select(seesNone, b.scalarLike(largest, 0), largest);
  Value a = b.exp(b.sub(one.lse, base)), c = b.exp(b.sub(other.lse, base));
  Value sum = b.add(a, c);
  Value divisor = b.select(seesNone, b.scalarLike(sum, 1), sum);
  Value o = b.add(b.mul(one.o, b.div(a, divisor)), b.mul(other.o, b.div(c, divisor)));
  return {o, b.add(base, b.log(sum))};
}

} // namespace

SmallVector<Value> ringAttention(AttentionOp op, PartitionBuilder &partition, unsigned factor) {
  RingSteps<AttentionOp> ring(op, partition, factor);
  Seen seen;
  RankedTensorType lse;
  do {
    ring.receive();
    AttentionOp block = ring.compute();
    lse = block.getLse().getType();
    SmallVector<int64_t> rows(lse.getShape());
    rows.push_back(1);
    Seen here{ring.widened(block.getO()), ring.b.reshape(ring.widened(block.getLse()), rows)};
    seen = ring.step == 0 ? here
                          : merge(ring.b, partition.builder(), partition.location(), seen, here);
  } while (ring.advance());
  return {ring.narrowed(seen.o),
          ring.b.convert(ring.b.reshape(seen.lse, lse.getShape()), lse.getElementType())};
}

SmallVector<Value> ringAttentionGrad(AttentionGradOp op, PartitionBuilder &partition,
                                     unsigned factor) {
  RingSteps<AttentionGradOp> ring(op, partition, factor);
  Value dq, dk, dv;
  do {
    ring.receive();
    if (dk) {
      dk = ring.rotate(dk);
      dv = ring.rotate(dv);
    }
    AttentionGradOp block = ring.compute();
    auto add = [&](Value &sum, Value part) {
      part = ring.widened(part);
      sum = sum ? ring.b.add(sum, part) : part;
    };
    add(dq, block.getDq());
    add(dk, block.getDk());
    add(dv, block.getDv());
  } while (ring.advance());
  return {ring.narrowed(dq), ring.narrowed(ring.rotate(dk)), ring.narrowed(ring.rotate(dv))};
}

} // namespace deepshard::graph
