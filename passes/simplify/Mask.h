//===- Mask.h - what a constant attention mask says -------------------------------------------===//

#ifndef DEEPSHARD_PASSES_SIMPLIFY_MASK_H
#define DEEPSHARD_PASSES_SIMPLIFY_MASK_H

#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/Value.h"
#include "llvm/ADT/DenseMap.h"

namespace deepshard {

/// Whether adding `number` to a score of `elementType` hides its key: -inf, <= -1e30, or the type's
/// lowest.
bool hidesKey(double number, mlir::Type elementType);

/// Which of the t keys each of the s queries sees, as far as constants say.
struct MaskPattern {
  /// The mask is constant and each key is either hidden or left as it is.
  bool isKnown = false;
  bool seesAll = false;
  /// Query i sees exactly the keys j <= i + t - s.
  bool isCausal = false;
  bool everyQuerySeesAKey = false;
};

/// Reads masks over s x t scores; remembers what it read, because the layers of a model share one
/// mask.
class MaskReader {
public:
  /// `mask` is aligned with the scores' trailing dimensions: i1 (true: seen; false, if `inverted`)
  /// or float (0: seen, `hidesKey`: hidden).
  MaskPattern read(mlir::Value mask, int64_t s, int64_t t, bool inverted = false);

private:
  MaskPattern readConstant(mlir::ElementsAttr elements, int64_t rows, int64_t columns, int64_t s,
                           int64_t t, bool inverted);

  using Key = std::pair<mlir::Attribute, std::pair<int64_t, std::pair<int64_t, int64_t>>>;
  llvm::DenseMap<Key, MaskPattern> known;
};

} // namespace deepshard

#endif // DEEPSHARD_PASSES_SIMPLIFY_MASK_H
