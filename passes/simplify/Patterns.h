//===- Patterns.h - the patterns of simplify-layout -------------------------------------------===//

#ifndef DEEPSHARD_PASSES_SIMPLIFY_PATTERNS_H
#define DEEPSHARD_PASSES_SIMPLIFY_PATTERNS_H

namespace mlir {
class RewritePatternSet;
} // namespace mlir

namespace deepshard {

/// Composition and cancellation of reshape, transpose, broadcast, slice, concat and convert.
void addViewPatterns(mlir::RewritePatternSet &patterns);

/// Transposes into contractions, products with weights as `linear`, flattening behind row-wise ops.
void addLinearPatterns(mlir::RewritePatternSet &patterns);

} // namespace deepshard

#endif // DEEPSHARD_PASSES_SIMPLIFY_PATTERNS_H
