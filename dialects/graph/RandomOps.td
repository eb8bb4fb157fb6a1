//===- RandomOps.td - counter-based random numbers -------------------------------------*- tablegen -*-===//

#ifndef DEEPSHARD_DIALECTS_GRAPH_RANDOMOPS
#define DEEPSHARD_DIALECTS_GRAPH_RANDOMOPS

include "dialects/graph/GraphDialect.td"

def Graph_DropoutOp : Graph_Primitive<"dropout", [InferTypeOpAdaptor, Graph_DefaultCost, Graph_Differentiable,
                                                  Graph_OwnRule]> {
  let summary = "Zeroes elements with probability `p`, scales the others by 1 / (1 - p)";
  let description = [{
    Whether an element is kept depends on (seed, step, `id`, element index + micro-batch x elements of x) alone, by
    Philox4x32-10 (Salmon et al., SC 2011); `counter` holds seed, step and micro-batch. The adjoint is the same op on
    the cotangent.

    Constraints:
    1. 0 <= p < 1
  }];
  let arguments = (ins Graph_Float:$x, Graph_Counter:$counter, F64Attr:$p, I64Attr:$id);
  let results = (outs Graph_Float:$result);
  let assemblyFormat = "$x `,` $counter `p` $p `id` $id attr-dict `:` type($x)  `,` type($counter)";
  let hasVerifier = 1;
  let hasFolder = 1;
}

#endif // DEEPSHARD_DIALECTS_GRAPH_RANDOMOPS
