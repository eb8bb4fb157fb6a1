// RUN: ds-opt %s --expand-math | FileCheck %s
// RUN: ds-opt %s --expand-math | FileCheck %s --check-prefix=NONE
// RUN: ds-opt %s --expand-math=gpu | FileCheck %s --check-prefix=GPU

// What the functions compute is tested by running them (test/unit/codegen/MathTest.cpp).

// NONE-NOT: math.{{(exp|log|tanh|erf|sin|cos|powf|rsqrt) .*f32}}

// Near zero a polynomial, elsewhere 1 - 2 / (e^2|x| + 1), with the sign of x; no operation carries a fast-math flag.

// CHECK-LABEL: func.func @tanh
// CHECK-SAME: (%[[X:.*]]: vector<16xf32>)
// CHECK: %[[A:.*]] = math.absf %[[X]] : vector<16xf32>
// CHECK: %[[U:.*]] = arith.mulf %[[A]], %[[A]] : vector<16xf32>
// CHECK: math.fma %{{.*}}, %[[U]], %{{.*}} : vector<16xf32>
// CHECK: arith.divf %{{.*}} : vector<16xf32>
// CHECK: %[[IS_SMALL:.*]] = arith.cmpf olt, %[[A]]
// CHECK: %[[RESULT:.*]] = arith.select %[[IS_SMALL]]
// CHECK: %[[Y:.*]] = math.copysign %[[RESULT]], %[[X]] : vector<16xf32>
// CHECK: return %[[Y]]
func.func @tanh(%x: vector<16xf32>) -> vector<16xf32> {
  %y = math.tanh %x : vector<16xf32>
  return %y : vector<16xf32>
}

// Scalars go the same way.

// On a GPU from 2^x.

// GPU-LABEL: func.func @scalar_exp
// GPU: math.exp2 %{{.*}} : f32
// GPU-NOT: arith.shli
// GPU: return

// CHECK-LABEL: func.func @scalar_exp
// CHECK: math.fma %{{.*}} : f32
// CHECK: arith.shli %{{.*}} : i32
func.func @scalar_exp(%x: f32) -> f32 {
  %y = math.exp %x : f32
  return %y : f32
}

// Large angles need many bits of 2/pi; they have a branch of their own.

// CHECK-LABEL: func.func @sin
// CHECK: %[[IS_LARGE:.*]] = arith.cmpf uge
// CHECK: %[[ANY:.*]] = vector.reduction <or>, %[[IS_LARGE]] : vector<8xi1> into i1
// CHECK: scf.if %[[ANY]]
func.func @sin(%x: vector<8xf32>) -> vector<8xf32> {
  %y = math.sin %x : vector<8xf32>
  return %y : vector<8xf32>
}

// CHECK-LABEL: func.func @rsqrt
// CHECK: %[[ROOT:.*]] = math.sqrt
// CHECK: arith.divf %{{.*}}, %[[ROOT]]
func.func @rsqrt(%x: vector<16xf32>) -> vector<16xf32> {
  %y = math.rsqrt %x : vector<16xf32>
  return %y : vector<16xf32>
}

// CHECK-LABEL: func.func @others
// CHECK-NOT: arith.truncf %{{.*}} to vector<16xbf16>
func.func @others(%x: vector<16xf32>, %y: vector<16xf32>) -> vector<16xbf16> {
  %0 = math.log %x : vector<16xf32>
  %1 = math.erf %0 : vector<16xf32>
  %2 = math.cos %1 : vector<16xf32>
  %3 = math.powf %2, %y : vector<16xf32>
  %4 = arith.truncf %3 : vector<16xf32> to vector<16xbf16>
  return %4 : vector<16xbf16>
}

// Conversions from bf16 and to it are operations on the bits; what is rounded is widened again without being packed.

// GPU-LABEL: func.func @bf16
// GPU: arith.truncf
// GPU: arith.extf

// CHECK-LABEL: func.func @bf16
// CHECK-SAME: (%[[X:.*]]: vector<16xf32>, %[[Y:.*]]: vector<16xbf16>)
// CHECK-NOT: {{truncf|extf}}
// CHECK: %[[IS_NAN:.*]] = arith.cmpf uno, %[[X]], %[[X]]
// CHECK: %[[BITS:.*]] = arith.select %[[IS_NAN]], %{{.*}}, %{{.*}} : vector<16xi1>, vector<16xi32>
// CHECK: %[[ROUNDED:.*]] = arith.bitcast %[[BITS]] : vector<16xi32> to vector<16xf32>
// CHECK: arith.trunci %{{.*}} : vector<16xi32> to vector<16xi16>
// CHECK: %[[NARROW:.*]] = arith.bitcast %{{.*}} : vector<16xi16> to vector<16xbf16>
// CHECK-NOT: {{truncf|extf|extui}}
// CHECK: %[[OTHER:.*]] = arith.bitcast %[[Y]] : vector<16xbf16> to vector<16xi16>
// CHECK: arith.extui %[[OTHER]]
// CHECK: %[[WIDE:.*]] = arith.bitcast %{{.*}} : vector<16xi32> to vector<16xf32>
// CHECK: return %[[NARROW]], %[[ROUNDED]], %[[WIDE]]
func.func @bf16(%x: vector<16xf32>, %y: vector<16xbf16>) -> (vector<16xbf16>, vector<16xf32>, vector<16xf32>) {
  %0 = arith.truncf %x : vector<16xf32> to vector<16xbf16>
  %1 = arith.extf %0 : vector<16xbf16> to vector<16xf32>
  %2 = arith.extf %y : vector<16xbf16> to vector<16xf32>
  return %0, %1, %2 : vector<16xbf16>, vector<16xf32>, vector<16xf32>
}

// What is an instruction stays, and so do functions of f64, which no kernel may use.

// CHECK-LABEL: func.func @stays
// CHECK: math.sqrt
// CHECK: math.floor
// CHECK: math.exp %{{.*}} : f64
func.func @stays(%x: f32, %y: f64) -> (f32, f32, f64) {
  %0 = math.sqrt %x : f32
  %1 = math.floor %x : f32
  %2 = math.exp %y : f64
  return %0, %1, %2 : f32, f32, f64
}
