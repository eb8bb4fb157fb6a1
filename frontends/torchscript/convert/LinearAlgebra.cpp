//===- LinearAlgebra.cpp - sums of products ---------------------------------------------------===//

#include "frontends/torchscript/convert/AtenOp.h"

#include "llvm/ADT/STLExtras.h"

using namespace mlir;
using namespace deepshard;
using namespace deepshard::torchscript;

namespace {

/// lhs (... x m x k) times rhs (k x n, or ... x k x n), leading dimensions broadcast.
Value multiply(AtenOp &op, Value lhs, Value rhs) {
  int64_t left = AtenOp::rankOf(lhs), right = AtenOp::rankOf(rhs);
  if (right == 2)
    return op.b.matmul(lhs, rhs, {}, {left - 1}, {0});
  int64_t rank = std::max(left, right);
  SmallVector<int64_t> batch(rank - 2, 1);
  for (ArrayRef<int64_t> shape : {AtenOp::shapeOf(lhs), AtenOp::shapeOf(rhs)})
    for (size_t i = 0; i + 2 < shape.size(); ++i) {
      int64_t &size = batch[rank - shape.size() + i];
      size = size == 1 ? shape[i] : size;
    }
  auto expand = [&](Value value) {
    SmallVector<int64_t> shape(batch);
    llvm::append_range(shape, AtenOp::shapeOf(value).take_back(2));
    return op.broadcast(value, shape);
  };
  return op.b.matmul(expand(lhs), expand(rhs), llvm::to_vector(llvm::seq<int64_t>(0, rank - 2)),
                     {rank - 1}, {rank - 2});
}

/// As PyTorch: vectors become matrices, and their dimension is dropped from the result.
LogicalResult matmul(AtenOp &op) {
  StringRef right = op.has("other")  ? "other"
                    : op.has("mat2") ? "mat2"
                    : op.has("vec2") ? "vec2"
                                     : "vec";
  if (op.has("tensor"))
    right = "tensor";
  Type type = op.elementType();
  if (!AtenOp::isFloat(type))
    return op.unsupported("products of integer matrices");
  Value lhs = op.convert(op.tensor("self"), type), rhs = op.convert(op.tensor(right), type);
  if (AtenOp::rankOf(lhs) == 1)
    lhs = op.b.reshape(lhs, {1, AtenOp::shapeOf(lhs)[0]});
  if (AtenOp::rankOf(rhs) == 1)
    rhs = op.b.reshape(rhs, {AtenOp::shapeOf(rhs)[0], 1});
  return op.set(op.b.reshape(multiply(op, lhs, rhs), op.resultType().getShape()));
}

LogicalResult outer(AtenOp &op) {
  Value x = op.convert(op.tensor("self"), op.elementType());
  Value y = op.convert(op.tensor(op.has("vec2") ? "vec2" : "other"), op.elementType());
  return op.set(op.b.mul(op.b.reshape(x, {AtenOp::shapeOf(x)[0], 1}), y));
}

LogicalResult linear(AtenOp &op) {
  Value weight = op.tensor("weight");
  if (AtenOp::rankOf(weight) != 2)
    return op.unsupported("a weight that is no matrix");
  return op.set(graph::LinearOp::create(op.builder, op.location, op.tensor("input"), weight,
                                        op.tensor("bias"),
                                        /*transpose_weight=*/true));
}

/// beta self + alpha (left right).
LogicalResult addProduct(AtenOp &op, StringRef left, StringRef right) {
  Value self = op.tensor("self"), lhs = op.tensor(left), rhs = op.tensor(right);
  double alpha = op.number("alpha", 1), beta = op.number("beta", 1);
  bool isBias =
      AtenOp::rankOf(self) == 1 && AtenOp::shapeOf(self)[0] == AtenOp::shapeOf(rhs).back();
  if (alpha == 1 && beta == 1 && isBias && AtenOp::rankOf(rhs) == 2)
    return op.set(graph::LinearOp::create(op.builder, op.location, lhs, rhs, self,
                                          /*transpose_weight=*/false));
  Value product = multiply(op, lhs, rhs);
  product = alpha == 1 ? product : op.b.mul(product, alpha);
  if (beta == 0)
    return op.set(product); // PyTorch ignores self then, even if it is not finite
  return op.set(op.b.add(beta == 1 ? self : op.b.mul(self, beta), product));
}

LogicalResult addmm(AtenOp &op) { return addProduct(op, "mat1", "mat2"); }
LogicalResult baddbmm(AtenOp &op) { return addProduct(op, "batch1", "batch2"); }

/// One side of an einsum: a letter per dimension.
struct Term {
  Value value;
  std::string letters;

  int64_t find(char letter) const {
    size_t at = letters.find(letter);
    return at == std::string::npos ? -1 : static_cast<int64_t>(at);
  }
};

/// Sums over letters that occur nowhere else.
void sumLonely(AtenOp &op, Term &term, StringRef others) {
  SmallVector<int64_t> dims;
  std::string kept;
  for (size_t i = 0; i < term.letters.size(); ++i)
    if (others.contains(term.letters[i]))
      kept += term.letters[i];
    else
      dims.push_back(i);
  if (!dims.empty())
    term.value = op.b.sum(term.value, dims, /*keep=*/false);
  term.letters = kept;
}

Term contract(AtenOp &op, const Term &left, const Term &right, StringRef later) {
  SmallVector<int64_t> leftBatch, rightBatch, leftContract, rightContract;
  std::string letters, leftRest, rightRest;
  for (char letter : left.letters) {
    if (right.find(letter) < 0) {
      leftRest += letter;
    } else if (later.contains(letter)) {
      leftBatch.push_back(left.find(letter));
      rightBatch.push_back(right.find(letter));
      letters += letter;
    } else {
      leftContract.push_back(left.find(letter));
      rightContract.push_back(right.find(letter));
    }
  }
  for (char letter : right.letters)
    if (left.find(letter) < 0)
      rightRest += letter;
  Value product = graph::MatmulOp::create(op.builder, op.location, left.value, right.value,
                                          leftBatch, rightBatch, leftContract, rightContract);
  return {product, letters + leftRest + rightRest};
}

LogicalResult einsum(AtenOp &op) {
  std::string equation;
  for (char letter : op.string("equation"))
    if (letter != ' ')
      equation += letter;
  auto [inputs, output] = StringRef(equation).split("->");
  if (!StringRef(equation).contains("->") || StringRef(equation).contains('.'))
    return op.unsupported("an equation '" + equation + "' with dots or without ->");
  SmallVector<StringRef> letters;
  inputs.split(letters, ',');
  SmallVector<Term> terms;
  for (auto [letterList, value] : llvm::zip_equal(letters, op.tensors("tensors")))
    terms.push_back({op.convert(value, op.elementType()), letterList.str()});
  for (const Term &term : terms)
    for (char letter : term.letters)
      if (llvm::count(term.letters, letter) > 1)
        return op.unsupported("an equation '" + equation + "' with a letter twice in one operand");
  Term result;
  for (size_t i = 0; i < terms.size(); ++i) {
    std::string later = output.str();
    for (size_t k = i + 1; k < terms.size(); ++k)
      later += terms[k].letters;
    sumLonely(op, terms[i], later + result.letters);
    if (i > 0)
      sumLonely(op, result, later + terms[i].letters);
    result = i == 0 ? terms[0] : contract(op, result, terms[i], later);
  }
  SmallVector<int64_t> permutation;
  for (char letter : output)
    permutation.push_back(result.find(letter));
  return op.set(op.transpose(result.value, permutation));
}

} // namespace

void torchscript::addLinearAlgebra(ConverterTable &table) {
  const std::pair<const char *, Converter> converters[] = {
      {"matmul", matmul}, {"mm", matmul},       {"bmm", matmul},   {"mv", matmul},
      {"dot", matmul},    {"vdot", matmul},     {"outer", outer},  {"linear", linear},
      {"addmm", addmm},   {"baddbmm", baddbmm}, {"einsum", einsum}};
  for (auto [name, converter] : converters)
    table["aten::" + std::string(name)] = converter;
}
