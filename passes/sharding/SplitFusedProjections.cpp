//===- SplitFusedProjections.cpp - keep the parts of a fused projection apart -----------------===//
//
// A weight that holds several projections side by side (GPT-2's query, key and value) cannot be cut
// into equal column ranges: the first half would hold the queries and half of the keys. Seen as
// [rows, parts, columns of a part] every part is cut alike, and each rank holds its heads of all
// parts. The elements keep their row-major order, so neither the data in the file nor what is saved
// changes.
//
// Steps, for every linear op with a matrix as weight whose columns the layout splits (or, with
// `open`, may come to split: the parts as a dimension cost nothing): (1) all uses
// of the result must be slices that cut columns at multiples of one width; (2) weight and bias
// arguments get the parts as a dimension of their own; (3) the linear op is rebuilt, each slice
// takes its part. O(ops).
//
//===------------------------------------------------------------------------------------------===//

#include "passes/sharding/Arguments.h"
#include "passes/sharding/Passes.h"

#include <numeric>

using namespace mlir;

namespace deepshard {

#define GEN_PASS_DEF_SPLITFUSEDPROJECTIONS
#include "passes/sharding/Passes.h.inc"

namespace {

/// The width of the parts that the users of `y` take, if each takes whole parts of one width and
/// all rows.
std::optional<int64_t> partWidth(Value y) {
  auto type = cast<RankedTensorType>(y.getType());
  int64_t last = type.getRank() - 1, columns = type.getShape().back();
  int64_t width = columns;
  for (Operation *user : y.getUsers()) {
    auto slice = dyn_cast<graph::SliceOp>(user);
    if (!slice || llvm::any_of(slice.getStrides(), [](int64_t stride) { return stride != 1; }))
      return std::nullopt;
    for (int64_t dim = 0; dim < last; ++dim)
      if (slice.getType().getDimSize(dim) != type.getDimSize(dim))
        return std::nullopt;
    width = std::gcd(width, std::gcd(slice.getStarts()[last], slice.getLimits()[last]));
  }
  // Wider slices would join pieces of several parts, which do not lie next to each other.
  bool single = llvm::all_of(y.getUsers(), [&](Operation *user) {
    return cast<graph::SliceOp>(user).getType().getDimSize(last) == width;
  });
  return single && width > 0 && width < columns ? std::optional(width) : std::nullopt;
}

struct SplitFusedProjectionsPass : impl::SplitFusedProjectionsBase<SplitFusedProjectionsPass> {
  using SplitFusedProjectionsBase::SplitFusedProjectionsBase;

  void runOnOperation() override {
    func::FuncOp function = getOperation();
    sharding::MeshOp mesh = sharding::onlyMesh(function->getParentOfType<ModuleOp>());
    searches = open && mesh && !searchedAxes(function, mesh.getAxes()).empty();
    SmallVector<graph::LinearOp> linears;
    function.walk([&](graph::LinearOp op) { linears.push_back(op); });
    for (graph::LinearOp op : linears)
      split(function, op);
  }

  void split(func::FuncOp function, graph::LinearOp op) {
    auto weight = dyn_cast<BlockArgument>(op.getWeight());
    if (!weight || !weight.hasOneUse() || weight.getType() != op.getWeight().getType() ||
        op.getWeight().getType().getRank() != 2)
      return;
    unsigned columns = op.getTransposeWeight() ? 0 : 1;
    sharding::LayoutAttr layout = sharding::layoutOf(weight);
    // With a search also one whose columns are pinned whole: values may be split where it is read.
    if (!searches && (!layout || layout.getDims()[columns].empty()))
      return;
    BlockArgument bias = dyn_cast_or_null<BlockArgument>(op.getBias());
    if (op.getBias() && (!bias || !bias.hasOneUse()))
      return;
    std::optional<int64_t> width = partWidth(op.getY());
    if (!width)
      return;
    cutDimension(function, weight, columns, *width);
    if (bias)
      cutDimension(function, bias, 0, *width);
    rebuild(op, *width);
  }

  static void rebuild(graph::LinearOp op, int64_t width) {
    OpBuilder builder(op);
    auto linear = graph::LinearOp::create(builder, op.getLoc(), op.getX(), op.getWeight(),
                                          op.getBias(), op.getTransposeWeight());
    linear->setDiscardableAttrs(op->getDiscardableAttrDictionary());
    ArrayRef<int64_t> shape = linear.getY().getType().getShape();
    int64_t parts = shape.size() - 2;
    for (Operation *user : llvm::make_early_inc_range(op->getUsers())) {
      auto slice = cast<graph::SliceOp>(user);
      builder.setInsertionPoint(slice);
      SmallVector<int64_t> starts(shape.size(), 0), limits(shape), strides(shape.size(), 1);
      starts[parts] = slice.getStarts().back() / width;
      limits[parts] = starts[parts] + 1;
      Value part =
          graph::SliceOp::create(builder, slice.getLoc(), linear.getY(), starts, limits, strides);
      Value flat = graph::ReshapeOp::create(builder, slice.getLoc(), slice.getType(), part);
      slice.replaceAllUsesWith(flat);
      slice.erase();
    }
    op.erase();
  }

  bool searches = false; // whether what has no layout may be split later
};

} // namespace
} // namespace deepshard
