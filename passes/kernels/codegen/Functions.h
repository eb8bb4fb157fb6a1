//===- Functions.h - functions of f32 as arithmetic -------------------------------------------===//
//
// Each builds its function of f32 lanes for every f32: denormals, infinities and NaN included.
// `exp` is within 1.5 units in the last place, the others within 5 (test/unit/codegen/MathTest.cpp
// holds them to it).
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_PASSES_KERNELS_CODEGEN_FUNCTIONS_H
#define DEEPSHARD_PASSES_KERNELS_CODEGEN_FUNCTIONS_H

#include "passes/kernels/codegen/Lanes.h"

namespace deepshard {

// Functions.cpp
mlir::Value buildExp(Lanes &lanes, mlir::Value x);
mlir::Value buildLog(Lanes &lanes, mlir::Value x);
mlir::Value buildTanh(Lanes &lanes, mlir::Value x);
mlir::Value buildErf(Lanes &lanes, mlir::Value x);

// Functions.cpp: f32 rounded to what bf16 has, to nearest, ties to even; such numbers as bf16; and
// bf16 as f32.
mlir::Value buildRoundToBf16(Lanes &lanes, mlir::Value x);
mlir::Value buildNarrowToBf16(Lanes &lanes, mlir::Value rounded);
mlir::Value buildWidenBf16(Lanes &lanes, mlir::Value x);

// Power.cpp: as the C library's powf.
mlir::Value buildPow(Lanes &lanes, mlir::Value x, mlir::Value y);

// Trigonometry.cpp
mlir::Value buildSin(Lanes &lanes, mlir::Value x);
mlir::Value buildCos(Lanes &lanes, mlir::Value x);

} // namespace deepshard

#endif // DEEPSHARD_PASSES_KERNELS_CODEGEN_FUNCTIONS_H
