//===- GraphOps.td - all ops of the graph dialect ------------------------------------------*- tablegen -*-===//

include "dialects/graph/AttentionOps.td"
include "dialects/graph/ContractionOps.td"
include "dialects/graph/ConvolutionOps.td"
include "dialects/graph/ElementwiseOps.td"
include "dialects/graph/IndexingOps.td"
include "dialects/graph/LayoutOps.td"
include "dialects/graph/NormalizationOps.td"
include "dialects/graph/RandomOps.td"
include "dialects/graph/ReductionOps.td"
include "dialects/graph/UpdateOps.td"
