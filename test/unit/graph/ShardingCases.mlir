// Instances of every op of the graph dialect, for ShardingRuleTest. The op before `return` is the one that is tested;
// splits come from its rule.
//
// On an argument: test.low and test.high, inclusive bounds of its random data (-4 and 4); test.real: real numbers
// between them instead of integers. On a function: test.exact, results agree bit for bit instead of to 1e-12.

// Elementwise.

func.func @neg(%x: tensor<6x4xf64>) attributes {test.exact} {
  %y = graph.neg %x : tensor<6x4xf64>
  return
}
func.func @abs(%x: tensor<6x4xi64>) attributes {test.exact} {
  %y = graph.abs %x : tensor<6x4xi64>
  return
}
func.func @sign(%x: tensor<12xf64>) attributes {test.exact} {
  %y = graph.sign %x : tensor<12xf64>
  return
}
func.func @floor(%x: tensor<2x6xf64> {test.real}) attributes {test.exact} {
  %y = graph.floor %x : tensor<2x6xf64>
  return
}
func.func @exp(%x: tensor<4x3xf64> {test.real}) attributes {test.exact} {
  %y = graph.exp %x : tensor<4x3xf64>
  return
}
func.func @log(%x: tensor<4x3xf64> {test.real, test.low = 1}) attributes {test.exact} {
  %y = graph.log %x : tensor<4x3xf64>
  return
}
func.func @sqrt(%x: tensor<12xf64> {test.low = 0}) attributes {test.exact} {
  %y = graph.sqrt %x : tensor<12xf64>
  return
}
func.func @rsqrt(%x: tensor<12xf64> {test.low = 1}) attributes {test.exact} {
  %y = graph.rsqrt %x : tensor<12xf64>
  return
}
func.func @reciprocal(%x: tensor<12xf64> {test.low = 1}) attributes {test.exact} {
  %y = graph.reciprocal %x : tensor<12xf64>
  return
}
func.func @sin(%x: tensor<12xf64> {test.real}) attributes {test.exact} {
  %y = graph.sin %x : tensor<12xf64>
  return
}
func.func @cos(%x: tensor<12xf64> {test.real}) attributes {test.exact} {
  %y = graph.cos %x : tensor<12xf64>
  return
}
func.func @tanh(%x: tensor<12xf64> {test.real}) attributes {test.exact} {
  %y = graph.tanh %x : tensor<12xf64>
  return
}
func.func @erf(%x: tensor<12xf64> {test.real}) attributes {test.exact} {
  %y = graph.erf %x : tensor<12xf64>
  return
}
func.func @ndtr(%x: tensor<12xf64> {test.real}) attributes {test.exact} {
  %y = graph.ndtr %x : tensor<12xf64>
  return
}
func.func @sigmoid(%x: tensor<12xf64> {test.real}) attributes {test.exact} {
  %y = graph.sigmoid %x : tensor<12xf64>
  return
}
func.func @not(%x: tensor<12xi1>) attributes {test.exact} {
  %y = graph.not %x : tensor<12xi1>
  return
}
func.func @convert_widens(%x: tensor<6x4xf32>) attributes {test.exact} {
  %y = graph.convert %x : tensor<6x4xf32> to tensor<6x4xf64>
  return
}
func.func @convert_integers(%x: tensor<6x4xi32>) attributes {test.exact} {
  %y = graph.convert %x : tensor<6x4xi32> to tensor<6x4xf64>
  return
}
func.func @convert_truncates(%x: tensor<6x4xf64> {test.real}) attributes {test.exact} {
  %y = graph.convert %x : tensor<6x4xf64> to tensor<6x4xi64>
  return
}
func.func @convert_flags(%x: tensor<6xi1>) attributes {test.exact} {
  %y = graph.convert %x : tensor<6xi1> to tensor<6xf64>
  return
}
func.func @add(%x: tensor<4x6x2xf64>, %y: tensor<4x6x2xf64>) attributes {test.exact} {
  %r = graph.add %x, %y : tensor<4x6x2xf64>, tensor<4x6x2xf64>
  return
}
func.func @add_broadcasts_both(%x: tensor<4x1xf64>, %y: tensor<3x1x6xf64>) attributes {test.exact} {
  %r = graph.add %x, %y : tensor<4x1xf64>, tensor<3x1x6xf64>
  return
}
func.func @add_scalar(%x: tensor<f64>, %y: tensor<4x3xf64>) attributes {test.exact} {
  %r = graph.add %x, %y : tensor<f64>, tensor<4x3xf64>
  return
}
func.func @sub(%x: tensor<4x6xi64>, %y: tensor<6xi64>) attributes {test.exact} {
  %r = graph.sub %x, %y : tensor<4x6xi64>, tensor<6xi64>
  return
}
func.func @mul(%x: tensor<4x6xf64>, %y: tensor<4x1xf64>) attributes {test.exact} {
  %r = graph.mul %x, %y : tensor<4x6xf64>, tensor<4x1xf64>
  return
}
func.func @mul_integers(%x: tensor<4x6xi64>, %y: tensor<i64>) attributes {test.exact} {
  %r = graph.mul %x, %y : tensor<4x6xi64>, tensor<i64>
  return
}
func.func @div(%x: tensor<4x6xf64>, %y: tensor<6xf64> {test.low = 1}) {
  %r = graph.div %x, %y : tensor<4x6xf64>, tensor<6xf64>
  return
}
func.func @div_integers(%x: tensor<4x6xi64>, %y: tensor<6xi64> {test.low = 1}) attributes {test.exact} {
  %r = graph.div %x, %y : tensor<4x6xi64>, tensor<6xi64>
  return
}
func.func @pow(%x: tensor<4x6xf64> {test.low = 1}, %y: tensor<f64> {test.low = 2}) attributes {test.exact} {
  %r = graph.pow %x, %y : tensor<4x6xf64>, tensor<f64>
  return
}
func.func @maximum(%x: tensor<4x6xf64>, %y: tensor<6xf64>) attributes {test.exact} {
  %r = graph.maximum %x, %y : tensor<4x6xf64>, tensor<6xf64>
  return
}
func.func @minimum(%x: tensor<4x6xi64>, %y: tensor<4x6xi64>) attributes {test.exact} {
  %r = graph.minimum %x, %y : tensor<4x6xi64>, tensor<4x6xi64>
  return
}
func.func @and(%x: tensor<4x6xi1>, %y: tensor<6xi1>) attributes {test.exact} {
  %r = graph.and %x, %y : tensor<4x6xi1>, tensor<6xi1>
  return
}
func.func @or(%x: tensor<4x6xi1>, %y: tensor<6xi1>) attributes {test.exact} {
  %r = graph.or %x, %y : tensor<4x6xi1>, tensor<6xi1>
  return
}
func.func @compare(%x: tensor<4x1xi64>, %y: tensor<1x6xi64>) attributes {test.exact} {
  %r = graph.compare "le" %x, %y : tensor<4x1xi64>, tensor<1x6xi64>
  return
}
func.func @select(%p: tensor<6xi1>, %x: tensor<4x6xf64>, %y: tensor<4x1xf64>) attributes {test.exact} {
  %r = graph.select %p, %x, %y : tensor<6xi1>, tensor<4x6xf64>, tensor<4x1xf64>
  return
}
func.func @select_or_zero(%p: tensor<6xi1>, %x: tensor<4x6xf64>) attributes {test.exact} {
  %zero = graph.constant dense<0.0> : tensor<f64>
  %r = graph.select %p, %x, %zero : tensor<6xi1>, tensor<4x6xf64>, tensor<f64>
  return
}
func.func @select_zero_or(%p: tensor<6xi1>, %x: tensor<4x6xi64>) attributes {test.exact} {
  %zero = graph.constant dense<0> : tensor<i64>
  %r = graph.select %p, %zero, %x : tensor<6xi1>, tensor<i64>, tensor<4x6xi64>
  return
}
func.func @gelu(%x: tensor<4x6xf64> {test.real}) attributes {test.exact} {
  %y = graph.gelu tanh %x : tensor<4x6xf64>
  return
}
func.func @gelu_grad(%dy: tensor<4x6xf64>, %x: tensor<4x6xf64> {test.real}) {
  %dx = graph.gelu_grad %dy, %x : tensor<4x6xf64>
  return
}

// Reductions.

func.func @reduce_sum(%x: tensor<4x6x2xf64>) attributes {test.exact} {
  %s = graph.reduce_sum %x dims [0, 2] : tensor<4x6x2xf64>
  return
}
func.func @reduce_sum_keeps(%x: tensor<4x6x2xi64>) attributes {test.exact} {
  %s = graph.reduce_sum %x dims [1] keep_dims : tensor<4x6x2xi64>
  return
}
func.func @reduce_max(%x: tensor<12x4xf64> {test.low = -1000, test.high = 1000}) attributes {test.exact} {
  %s = graph.reduce_max %x dims [0] : tensor<12x4xf64>
  return
}
func.func @reduce_log_sum_exp(%x: tensor<4x6x2xf64>) {
  %s = graph.reduce_log_sum_exp %x dims [0, 1] : tensor<4x6x2xf64>
  return
}
func.func @reduce_log_sum_exp_keeps(%x: tensor<4x12xf64> {test.low = -1000, test.high = 1000}) {
  %s = graph.reduce_log_sum_exp %x dims [1] keep_dims : tensor<4x12xf64>
  return
}
func.func @reduce_min(%x: tensor<12x4xf64> {test.low = -1000, test.high = 1000}) attributes {test.exact} {
  %s = graph.reduce_min %x dims [0, 1] keep_dims : tensor<12x4xf64>
  return
}

// Layout.

func.func @constant_splat() attributes {test.exact} {
  %c = graph.constant dense<3.0> : tensor<4x6xf64>
  return
}
func.func @constant_table() attributes {test.exact} {
  %c = graph.constant dense<[1, 2, 3, 4]> : tensor<4xi64>
  return
}
func.func @iota() attributes {test.exact} {
  %i = graph.iota 1 : tensor<4x12xi64>
  return
}
func.func @iota_floats() attributes {test.exact} {
  %i = graph.iota 0 : tensor<12x1xf32>
  return
}
func.func @reshape_merges(%x: tensor<4x6x1x5xf64>) attributes {test.exact} {
  %r = graph.reshape %x : tensor<4x6x1x5xf64> to tensor<24x5xf64>
  return
}
func.func @reshape_splits(%x: tensor<2x36xf64>) attributes {test.exact} {
  %r = graph.reshape %x : tensor<2x36xf64> to tensor<2x3x4x3x1xf64>
  return
}
func.func @reshape_shares_majors(%x: tensor<6x2xf64>) attributes {test.exact} {
  %r = graph.reshape %x : tensor<6x2xf64> to tensor<4x3xf64>
  return
}
func.func @reshape_mixes(%x: tensor<4x3x8x6xf64>) attributes {test.exact} {
  %r = graph.reshape %x : tensor<4x3x8x6xf64> to tensor<4x2x3x4x6xf64>
  return
}
func.func @reshape_to_scalar(%x: tensor<1x1xf64>) attributes {test.exact} {
  %r = graph.reshape %x : tensor<1x1xf64> to tensor<f64>
  return
}
func.func @reshape_nothing(%x: tensor<0x4xf64>) attributes {test.exact} {
  %r = graph.reshape %x : tensor<0x4xf64> to tensor<2x0x3xf64>
  return
}
func.func @transpose(%x: tensor<4x6x2xf64>) attributes {test.exact} {
  %r = graph.transpose %x [2, 0, 1] : tensor<4x6x2xf64>
  return
}
func.func @broadcast(%x: tensor<4x1xf64>) attributes {test.exact} {
  %r = graph.broadcast %x [0, 2] : tensor<4x1xf64> to tensor<4x6x2xf64>
  return
}
func.func @slice(%x: tensor<4x6x12xf64>) attributes {test.exact} {
  %r = graph.slice %x [0, 1, 0] to [4, 5, 12] by [1, 1, 2] : tensor<4x6x12xf64>
  return
}
func.func @pad(%x: tensor<4x6xf64>, %v: tensor<f64>) attributes {test.exact} {
  %r = graph.pad %x, %v low [0, 1] high [0, 1] interior [0, 1] : tensor<4x6xf64>, tensor<f64>
  return
}
func.func @pad_zeros(%x: tensor<4x6xi64>) attributes {test.exact} {
  %zero = graph.constant dense<0> : tensor<i64>
  %r = graph.pad %x, %zero low [2, 0] high [0, 0] interior [0, 0] : tensor<4x6xi64>, tensor<i64>
  return
}
func.func @concat(%x: tensor<4x2x6xf64>, %y: tensor<4x4x6xf64>) attributes {test.exact} {
  %r = graph.concat %x, %y dim 1 : tensor<4x2x6xf64>, tensor<4x4x6xf64>
  return
}

// Contractions.

func.func @matmul(%x: tensor<4x6xf64>, %y: tensor<6x12xf64>) attributes {test.exact} {
  %r = graph.matmul %x, %y batch [] x [] contract [1] x [0] : tensor<4x6xf64>, tensor<6x12xf64>
  return
}
func.func @matmul_batched(%x: tensor<2x3x4x6xf64>, %y: tensor<3x6x4x2xf64>) attributes {test.exact} {
  %r = graph.matmul %x, %y batch [0, 1] x [3, 0] contract [2, 3] x [2, 1]
      : tensor<2x3x4x6xf64>, tensor<3x6x4x2xf64>
  return
}
func.func @linear(%x: tensor<2x3x4xf64>, %w: tensor<4x6xf64>) attributes {test.exact} {
  %y = graph.linear %x, %w : tensor<2x3x4xf64>, tensor<4x6xf64>
  return
}
func.func @linear_bias(%x: tensor<2x3x4xf64>, %w: tensor<4x6xf64>, %b: tensor<6xf64>) attributes {test.exact} {
  %y = graph.linear %x, %w, %b : tensor<2x3x4xf64>, tensor<4x6xf64>, tensor<6xf64>
  return
}
func.func @linear_columns(%x: tensor<2x4xf64>, %w: tensor<3x6x4xf64>, %b: tensor<3x6xf64>) attributes {test.exact} {
  %y = graph.linear %x, %w, %b transpose_weight : tensor<2x4xf64>, tensor<3x6x4xf64>, tensor<3x6xf64>
  return
}

// Convolutions.

func.func @convolution(%x: tensor<2x4x5x4xf64>, %w: tensor<6x4x3x3xf64>) attributes {test.exact} {
  %r = graph.convolution %x, %w strides [1, 1] low [1, 1] high [1, 1] dilations [1, 1] groups 1
      : tensor<2x4x5x4xf64>, tensor<6x4x3x3xf64>
  return
}
func.func @convolution_input_grad(%dy: tensor<2x6x5x4xf64>, %w: tensor<6x4x3x3xf64>) attributes {test.exact} {
  %r = graph.convolution_input_grad %dy, %w sizes [5, 4] strides [1, 1] low [1, 1] high [1, 1] dilations [1, 1] groups 1
      : tensor<2x6x5x4xf64>, tensor<6x4x3x3xf64>
  return
}
func.func @convolution_weight_grad(%dy: tensor<2x6x5x4xf64>, %x: tensor<2x4x5x4xf64>) attributes {test.exact} {
  %r = graph.convolution_weight_grad %dy, %x sizes [3, 3] strides [1, 1] low [1, 1] high [1, 1] dilations [1, 1] groups 1
      : tensor<2x6x5x4xf64>, tensor<2x4x5x4xf64>
  return
}
func.func @convolution_window(%x: tensor<4x2x8x7xf64>, %w: tensor<3x2x3x2xf64>) attributes {test.exact} {
  %r = graph.convolution %x, %w strides [2, 3] low [2, 0] high [1, 1] dilations [2, 1] groups 1
      : tensor<4x2x8x7xf64>, tensor<3x2x3x2xf64>
  return
}
func.func @convolution_input_grad_window(%dy: tensor<4x3x4x3xf64>, %w: tensor<3x2x3x2xf64>) attributes {test.exact} {
  %r = graph.convolution_input_grad %dy, %w sizes [8, 7] strides [2, 3] low [2, 0] high [1, 1] dilations [2, 1] groups 1
      : tensor<4x3x4x3xf64>, tensor<3x2x3x2xf64>
  return
}
func.func @convolution_weight_grad_window(%dy: tensor<4x3x4x3xf64>, %x: tensor<4x2x8x7xf64>) attributes {test.exact} {
  %r = graph.convolution_weight_grad %dy, %x sizes [3, 2] strides [2, 3] low [2, 0] high [1, 1] dilations [2, 1] groups 1
      : tensor<4x3x4x3xf64>, tensor<4x2x8x7xf64>
  return
}
func.func @convolution_groups(%x: tensor<2x8x4x4xf64>, %w: tensor<12x4x3x1xf64>) attributes {test.exact} {
  %r = graph.convolution %x, %w strides [1, 1] low [1, 0] high [0, 0] dilations [1, 1] groups 2
      : tensor<2x8x4x4xf64>, tensor<12x4x3x1xf64>
  return
}
func.func @convolution_input_grad_groups(%dy: tensor<2x12x3x4xf64>, %w: tensor<12x4x3x1xf64>) attributes {test.exact} {
  %r = graph.convolution_input_grad %dy, %w sizes [4, 4] strides [1, 1] low [1, 0] high [0, 0] dilations [1, 1] groups 2
      : tensor<2x12x3x4xf64>, tensor<12x4x3x1xf64>
  return
}
func.func @convolution_weight_grad_groups(%dy: tensor<2x12x3x4xf64>, %x: tensor<2x8x4x4xf64>) attributes {test.exact} {
  %r = graph.convolution_weight_grad %dy, %x sizes [3, 1] strides [1, 1] low [1, 0] high [0, 0] dilations [1, 1] groups 2
      : tensor<2x12x3x4xf64>, tensor<2x8x4x4xf64>
  return
}
func.func @convolution_depthwise(%x: tensor<2x6x4x4xf64>, %w: tensor<6x1x3x3xf64>) attributes {test.exact} {
  %r = graph.convolution %x, %w strides [1, 1] low [1, 1] high [1, 1] dilations [1, 1] groups 6
      : tensor<2x6x4x4xf64>, tensor<6x1x3x3xf64>
  return
}
func.func @convolution_input_grad_depthwise(%dy: tensor<2x6x4x4xf64>, %w: tensor<6x1x3x3xf64>) attributes {test.exact} {
  %r = graph.convolution_input_grad %dy, %w sizes [4, 4] strides [1, 1] low [1, 1] high [1, 1] dilations [1, 1] groups 6
      : tensor<2x6x4x4xf64>, tensor<6x1x3x3xf64>
  return
}
func.func @convolution_weight_grad_depthwise(%dy: tensor<2x6x4x4xf64>, %x: tensor<2x6x4x4xf64>) attributes {test.exact} {
  %r = graph.convolution_weight_grad %dy, %x sizes [3, 3] strides [1, 1] low [1, 1] high [1, 1] dilations [1, 1] groups 6
      : tensor<2x6x4x4xf64>, tensor<2x6x4x4xf64>
  return
}
func.func @convolution_multiplier(%x: tensor<2x3x4x4xf64>, %w: tensor<12x1x2x2xf64>) attributes {test.exact} {
  %r = graph.convolution %x, %w strides [2, 2] low [0, 0] high [0, 0] dilations [1, 1] groups 3
      : tensor<2x3x4x4xf64>, tensor<12x1x2x2xf64>
  return
}
func.func @convolution_input_grad_multiplier(%dy: tensor<2x12x2x2xf64>, %w: tensor<12x1x2x2xf64>) attributes {test.exact} {
  %r = graph.convolution_input_grad %dy, %w sizes [4, 4] strides [2, 2] low [0, 0] high [0, 0] dilations [1, 1] groups 3
      : tensor<2x12x2x2xf64>, tensor<12x1x2x2xf64>
  return
}
func.func @convolution_weight_grad_multiplier(%dy: tensor<2x12x2x2xf64>, %x: tensor<2x3x4x4xf64>) attributes {test.exact} {
  %r = graph.convolution_weight_grad %dy, %x sizes [2, 2] strides [2, 2] low [0, 0] high [0, 0] dilations [1, 1] groups 3
      : tensor<2x12x2x2xf64>, tensor<2x3x4x4xf64>
  return
}
func.func @convolution_sequence(%x: tensor<4x4x9xf64>, %w: tensor<6x4x3xf64>) attributes {test.exact} {
  %r = graph.convolution %x, %w strides [2] low [2] high [0] dilations [1] groups 1
      : tensor<4x4x9xf64>, tensor<6x4x3xf64>
  return
}
func.func @convolution_input_grad_sequence(%dy: tensor<4x6x5xf64>, %w: tensor<6x4x3xf64>) attributes {test.exact} {
  %r = graph.convolution_input_grad %dy, %w sizes [9] strides [2] low [2] high [0] dilations [1] groups 1
      : tensor<4x6x5xf64>, tensor<6x4x3xf64>
  return
}
func.func @convolution_weight_grad_sequence(%dy: tensor<4x6x5xf64>, %x: tensor<4x4x9xf64>) attributes {test.exact} {
  %r = graph.convolution_weight_grad %dy, %x sizes [3] strides [2] low [2] high [0] dilations [1] groups 1
      : tensor<4x6x5xf64>, tensor<4x4x9xf64>
  return
}
func.func @convolution_volume(%x: tensor<2x2x3x4x3xf64>, %w: tensor<4x2x2x2x1xf64>) attributes {test.exact} {
  %r = graph.convolution %x, %w strides [1, 2, 1] low [0, 1, 0] high [1, 0, 0] dilations [1, 1, 1] groups 1
      : tensor<2x2x3x4x3xf64>, tensor<4x2x2x2x1xf64>
  return
}
func.func @convolution_input_grad_volume(%dy: tensor<2x4x3x2x3xf64>, %w: tensor<4x2x2x2x1xf64>) attributes {test.exact} {
  %r = graph.convolution_input_grad %dy, %w sizes [3, 4, 3] strides [1, 2, 1] low [0, 1, 0] high [1, 0, 0] dilations [1, 1, 1] groups 1
      : tensor<2x4x3x2x3xf64>, tensor<4x2x2x2x1xf64>
  return
}
func.func @convolution_weight_grad_volume(%dy: tensor<2x4x3x2x3xf64>, %x: tensor<2x2x3x4x3xf64>) attributes {test.exact} {
  %r = graph.convolution_weight_grad %dy, %x sizes [2, 2, 1] strides [1, 2, 1] low [0, 1, 0] high [1, 0, 0] dilations [1, 1, 1] groups 1
      : tensor<2x4x3x2x3xf64>, tensor<2x2x3x4x3xf64>
  return
}

// Normalisations and losses.

func.func @softmax(%x: tensor<4x6x2xf64> {test.real}) {
  %y = graph.softmax %x dim 1 : tensor<4x6x2xf64>
  return
}
func.func @softmax_grad(%dy: tensor<4x6x2xf64>, %y: tensor<4x6x2xf64> {test.real, test.low = 0, test.high = 1}) {
  %dx = graph.softmax_grad %dy, %y dim 2 : tensor<4x6x2xf64>
  return
}
func.func @layer_norm(%x: tensor<4x3x6xf64> {test.real}, %w: tensor<6xf64>, %b: tensor<6xf64>) {
  %y, %mean, %rstd = graph.layer_norm %x, %w, %b eps 1.0e-5 : tensor<4x3x6xf64>, tensor<6xf64>, tensor<6xf64>
  return
}
func.func @layer_norm_all(%x: tensor<4x6xf64> {test.real}, %w: tensor<4x6xf64>, %b: tensor<4x6xf64>) {
  %y, %mean, %rstd = graph.layer_norm %x, %w, %b eps 1.0e-5 : tensor<4x6xf64>, tensor<4x6xf64>, tensor<4x6xf64>
  return
}
func.func @layer_norm_grad(%dy: tensor<4x3x6xf64>, %x: tensor<4x3x6xf64> {test.real}, %w: tensor<6xf64>,
                           %mean: tensor<4x3xf64>, %rstd: tensor<4x3xf64> {test.low = 1}) {
  %dx, %dw, %db = graph.layer_norm_grad %dy, %x, %w, %mean, %rstd
      : tensor<4x3x6xf64>, tensor<4x3x6xf64>, tensor<6xf64>, tensor<4x3xf64>, tensor<4x3xf64>
  return
}
func.func @cross_entropy(%x: tensor<6x12xf64> {test.real}, %t: tensor<6xi64> {test.low = -1, test.high = 11}) {
  %loss, %count, %lse = graph.cross_entropy %x, %t ignore_index -1 : tensor<6x12xf64>, tensor<6xi64>
  return
}
func.func @cross_entropy_of_rows_in_two_dimensions(%x: tensor<2x6x4xf64> {test.real},
                                                   %t: tensor<2x6xi64> {test.low = -1, test.high = 3}) {
  %loss, %count, %lse = graph.cross_entropy %x, %t ignore_index -1 : tensor<2x6x4xf64>, tensor<2x6xi64>
  return
}
func.func @cross_entropy_grad_of_rows_in_two_dimensions(%x: tensor<2x6x4xf64> {test.real},
                                                        %t: tensor<2x6xi64> {test.low = -1, test.high = 3},
                                                        %lse: tensor<2x6xf64> {test.real},
                                                        %d: tensor<f64> {test.low = 1}) {
  %dx = graph.cross_entropy_grad %x, %t, %lse, %d ignore_index -1
      : tensor<2x6x4xf64>, tensor<2x6xi64>, tensor<2x6xf64>, tensor<f64>
  return
}
func.func @cross_entropy_ignores_a_column(%x: tensor<12x4xf64> {test.real},
                                          %t: tensor<12xi32> {test.low = 0, test.high = 3}) {
  %loss, %count, %lse = graph.cross_entropy %x, %t ignore_index 2 : tensor<12x4xf64>, tensor<12xi32>
  return
}
func.func @cross_entropy_of_no_column(%x: tensor<2x4xf64> {test.real},
                                      %t: tensor<2xi64> {test.low = 4, test.high = 9}) {
  %loss, %count, %lse = graph.cross_entropy %x, %t ignore_index -100 : tensor<2x4xf64>, tensor<2xi64>
  return
}
func.func @cross_entropy_grad(%x: tensor<6x12xf64> {test.real}, %t: tensor<6xi64> {test.low = -1, test.high = 11},
                              %lse: tensor<6xf64> {test.real}, %d: tensor<f64> {test.low = 1}) {
  %dx = graph.cross_entropy_grad %x, %t, %lse, %d ignore_index -1
      : tensor<6x12xf64>, tensor<6xi64>, tensor<6xf64>, tensor<f64>
  return
}
func.func @cross_entropy_grad_ignores_a_column(%x: tensor<12x4xf64> {test.real},
                                               %t: tensor<12xi32> {test.low = -1, test.high = 4},
                                               %lse: tensor<12xf64> {test.real}, %d: tensor<f64> {test.low = 1}) {
  %dx = graph.cross_entropy_grad %x, %t, %lse, %d ignore_index 0
      : tensor<12x4xf64>, tensor<12xi32>, tensor<12xf64>, tensor<f64>
  return
}
func.func @cross_entropy_with_grad(%x: tensor<2x6x4xf64> {test.real}, %t: tensor<2x6xi64> {test.low = -1, test.high = 3},
                                   %d: tensor<f64> {test.low = 1}) {
  %dx, %loss = graph.cross_entropy_with_grad %x, %t, %d ignore_index -1 : tensor<2x6x4xf64>, tensor<2x6xi64>, tensor<f64>
  return
}

// Attention.

func.func @attention(%q: tensor<2x4x3x6xf64> {test.real}, %k: tensor<2x4x5x6xf64> {test.real},
                     %v: tensor<2x4x5x4xf64>) {
  %o, %lse = graph.attention %q, %k, %v scale 0.5 causal
      : tensor<2x4x3x6xf64>, tensor<2x4x5x6xf64>, tensor<2x4x5x4xf64>
  return
}
func.func @attention_grouped(%q: tensor<3x8x3x2xf64> {test.real}, %k: tensor<3x4x5x2xf64> {test.real},
                             %v: tensor<3x4x5x2xf64>, %m: tensor<1x8x3x5xi1>, %c: tensor<3xi64> {test.low = 0}) {
  %o, %lse = graph.attention %q, %k, %v mask %m counter %c scale 0.5 {dropout = 0.5, id = 3 : i64}
      : tensor<3x8x3x2xf64>, tensor<3x4x5x2xf64>, tensor<3x4x5x2xf64>, tensor<1x8x3x5xi1>, tensor<3xi64>
  return
}
func.func @attention_one_group(%q: tensor<2x6x3x2xf64> {test.real}, %k: tensor<2x1x5x2xf64> {test.real},
                               %v: tensor<2x1x5x3xf64>, %m: tensor<2x1x3x5xf64>) {
  %o, %lse = graph.attention %q, %k, %v mask %m scale 0.5
      : tensor<2x6x3x2xf64>, tensor<2x1x5x2xf64>, tensor<2x1x5x3xf64>, tensor<2x1x3x5xf64>
  return
}
func.func @attention_one_group_dropout(%q: tensor<2x6x3x2xf64> {test.real}, %k: tensor<2x1x5x2xf64> {test.real},
                                       %v: tensor<2x1x5x3xf64>, %c: tensor<3xi64> {test.low = 0}) {
  %o, %lse = graph.attention %q, %k, %v counter %c scale 0.5 {dropout = 0.5, id = 3 : i64}
      : tensor<2x6x3x2xf64>, tensor<2x1x5x2xf64>, tensor<2x1x5x3xf64>, tensor<3xi64>
  return
}
func.func @attention_grad(%do: tensor<2x4x3x6xf64>, %q: tensor<2x4x3x6xf64> {test.real},
                          %k: tensor<2x4x5x6xf64> {test.real}, %v: tensor<2x4x5x6xf64>, %o: tensor<2x4x3x6xf64>,
                          %lse: tensor<2x4x3xf64> {test.real, test.low = 0}) {
  %dq, %dk, %dv = graph.attention_grad %do, %q, %k, %v, %o, %lse scale 0.5 causal
      : tensor<2x4x3x6xf64>, tensor<2x4x3x6xf64>, tensor<2x4x5x6xf64>, tensor<2x4x5x6xf64>, tensor<2x4x3x6xf64>,
        tensor<2x4x3xf64>
  return
}
func.func @attention_grad_grouped(%do: tensor<3x8x3x2xf64>, %q: tensor<3x8x3x2xf64> {test.real},
                                  %k: tensor<3x4x5x2xf64> {test.real}, %v: tensor<3x4x5x2xf64>,
                                  %o: tensor<3x8x3x2xf64>, %lse: tensor<3x8x3xf64> {test.real, test.low = 0},
                                  %m: tensor<3x1x1x5xf64>, %c: tensor<3xi64> {test.low = 0}) {
  %dq, %dk, %dv = graph.attention_grad %do, %q, %k, %v, %o, %lse mask %m counter %c scale 0.5
      {dropout = 0.5, id = 3 : i64}
      : tensor<3x8x3x2xf64>, tensor<3x8x3x2xf64>, tensor<3x4x5x2xf64>, tensor<3x4x5x2xf64>, tensor<3x8x3x2xf64>,
        tensor<3x8x3xf64>, tensor<3x1x1x5xf64>, tensor<3xi64>
  return
}
func.func @attention_grad_one_group(%do: tensor<2x6x3x4xf64>, %q: tensor<2x6x3x2xf64> {test.real},
                                    %k: tensor<2x1x5x2xf64> {test.real}, %v: tensor<2x1x5x4xf64>,
                                    %o: tensor<2x6x3x4xf64>, %lse: tensor<2x6x3xf64> {test.real, test.low = 0}) {
  %dq, %dk, %dv = graph.attention_grad %do, %q, %k, %v, %o, %lse scale 0.5
      : tensor<2x6x3x4xf64>, tensor<2x6x3x2xf64>, tensor<2x1x5x2xf64>, tensor<2x1x5x4xf64>, tensor<2x6x3x4xf64>,
        tensor<2x6x3xf64>
  return
}
func.func @attention_grad_one_group_dropout(%do: tensor<2x6x3x4xf64>, %q: tensor<2x6x3x2xf64> {test.real},
                                            %k: tensor<2x1x5x2xf64> {test.real}, %v: tensor<2x1x5x4xf64>,
                                            %o: tensor<2x6x3x4xf64>, %lse: tensor<2x6x3xf64> {test.real, test.low = 0},
                                            %c: tensor<3xi64> {test.low = 0}) {
  %dq, %dk, %dv = graph.attention_grad %do, %q, %k, %v, %o, %lse counter %c scale 0.5 {dropout = 0.5, id = 3 : i64}
      : tensor<2x6x3x4xf64>, tensor<2x6x3x2xf64>, tensor<2x1x5x2xf64>, tensor<2x1x5x4xf64>, tensor<2x6x3x4xf64>,
        tensor<2x6x3xf64>, tensor<3xi64>
  return
}

// Queries and keys are one factor where there are as many of both. A head that sees no key leaves -inf.
func.func @attention_ring(%q: tensor<2x4x12x3xf64> {test.real}, %k: tensor<2x2x12x3xf64> {test.real},
                          %v: tensor<2x2x12x2xf64>) {
  %o, %lse = graph.attention %q, %k, %v scale 0.5 causal
      : tensor<2x4x12x3xf64>, tensor<2x2x12x3xf64>, tensor<2x2x12x2xf64>
  return
}
func.func @attention_ring_masked(%q: tensor<2x6x12x3xf64> {test.real}, %k: tensor<2x1x12x3xf64> {test.real},
                                 %v: tensor<2x1x12x2xf64>, %m: tensor<2x6x1x1xi1>) {
  %o, %lse = graph.attention %q, %k, %v mask %m scale 0.5
      : tensor<2x6x12x3xf64>, tensor<2x1x12x3xf64>, tensor<2x1x12x2xf64>, tensor<2x6x1x1xi1>
  return
}
func.func @attention_ring_dropout(%q: tensor<2x4x12x3xf64> {test.real}, %k: tensor<2x2x12x3xf64> {test.real},
                                  %v: tensor<2x2x12x2xf64>, %c: tensor<3xi64> {test.low = 0}) {
  %o, %lse = graph.attention %q, %k, %v counter %c scale 0.5 causal {dropout = 0.5, id = 3 : i64}
      : tensor<2x4x12x3xf64>, tensor<2x2x12x3xf64>, tensor<2x2x12x2xf64>, tensor<3xi64>
  return
}
func.func @attention_grad_ring(%do: tensor<2x4x12x2xf64>, %q: tensor<2x4x12x3xf64> {test.real},
                               %k: tensor<2x2x12x3xf64> {test.real}, %v: tensor<2x2x12x2xf64>,
                               %o: tensor<2x4x12x2xf64>, %lse: tensor<2x4x12xf64> {test.real, test.low = 0}) {
  %dq, %dk, %dv = graph.attention_grad %do, %q, %k, %v, %o, %lse scale 0.5 causal
      : tensor<2x4x12x2xf64>, tensor<2x4x12x3xf64>, tensor<2x2x12x3xf64>, tensor<2x2x12x2xf64>, tensor<2x4x12x2xf64>,
        tensor<2x4x12xf64>
  return
}
func.func @attention_grad_ring_dropout(%do: tensor<2x4x12x2xf64>, %q: tensor<2x4x12x3xf64> {test.real},
                                       %k: tensor<2x1x12x3xf64> {test.real}, %v: tensor<2x1x12x2xf64>,
                                       %o: tensor<2x4x12x2xf64>, %lse: tensor<2x4x12xf64> {test.real, test.low = 0},
                                       %c: tensor<3xi64> {test.low = 0}) {
  %dq, %dk, %dv = graph.attention_grad %do, %q, %k, %v, %o, %lse counter %c scale 0.5 {dropout = 0.5, id = 3 : i64}
      : tensor<2x4x12x2xf64>, tensor<2x4x12x3xf64>, tensor<2x1x12x3xf64>, tensor<2x1x12x2xf64>, tensor<2x4x12x2xf64>,
        tensor<2x4x12xf64>, tensor<3xi64>
  return
}
// A block of a ring is not passed round again; its heads are split like those of any attention.
func.func @attention_diagonal(%q: tensor<2x4x6x3xf64> {test.real}, %k: tensor<2x2x6x3xf64> {test.real},
                              %v: tensor<2x2x6x2xf64>, %d: tensor<i64>) {
  %o, %lse = graph.attention %q, %k, %v scale 0.5 causal diagonal %d
      : tensor<2x4x6x3xf64>, tensor<2x2x6x3xf64>, tensor<2x2x6x2xf64>, tensor<i64>
  return
}
func.func @attention_grad_diagonal(%do: tensor<2x4x6x2xf64>, %q: tensor<2x4x6x3xf64> {test.real},
                                   %k: tensor<2x2x6x3xf64> {test.real}, %v: tensor<2x2x6x2xf64>,
                                   %o: tensor<2x4x6x2xf64>, %lse: tensor<2x4x6xf64> {test.real, test.low = 0},
                                   %d: tensor<i64>) {
  %dq, %dk, %dv = graph.attention_grad %do, %q, %k, %v, %o, %lse scale 0.5 causal diagonal %d
      : tensor<2x4x6x2xf64>, tensor<2x4x6x3xf64>, tensor<2x2x6x3xf64>, tensor<2x2x6x2xf64>, tensor<2x4x6x2xf64>,
        tensor<2x4x6xf64>, tensor<i64>
  return
}

// Indexing. Ids below 0 and beyond the table give NaN, split or not.

func.func @embedding(%t: tensor<12x4xf64>, %i: tensor<2x3xi64> {test.low = 0, test.high = 11}) attributes {test.exact} {
  %r = graph.embedding %t, %i : tensor<12x4xf64>, tensor<2x3xi64>
  return
}
func.func @embedding_beyond(%t: tensor<4x2x3xf64>, %i: tensor<12xi32> {test.low = -2, test.high = 6})
    attributes {test.exact} {
  %r = graph.embedding %t, %i : tensor<4x2x3xf64>, tensor<12xi32>
  return
}
func.func @embedding_grad(%dy: tensor<2x3x4xf64>, %i: tensor<2x3xi64> {test.low = 0, test.high = 11})
    attributes {test.exact} {
  %r = graph.embedding_grad %dy, %i rows 12 : tensor<2x3x4xf64>, tensor<2x3xi64>
  return
}
func.func @embedding_grad_beyond(%dy: tensor<12x2x3xf64>, %i: tensor<12xi32> {test.low = -2, test.high = 6})
    attributes {test.exact} {
  %r = graph.embedding_grad %dy, %i rows 4 : tensor<12x2x3xf64>, tensor<12xi32>
  return
}
func.func @gather(%x: tensor<6x4x2xf64>, %i: tensor<6x12x2xi64> {test.low = 0, test.high = 3}) attributes {test.exact} {
  %r = graph.gather %x, %i dim 1 : tensor<6x4x2xf64>, tensor<6x12x2xi64>
  return
}
func.func @gather_from_more(%x: tensor<6x4xf64>, %i: tensor<4x4xi32> {test.low = 0, test.high = 3})
    attributes {test.exact} {
  %r = graph.gather %x, %i dim 1 : tensor<6x4xf64>, tensor<4x4xi32>
  return
}
func.func @scatter_add(%u: tensor<6x12x2xf64>, %i: tensor<6x12x2xi64> {test.low = 0, test.high = 3})
    attributes {test.exact} {
  %r = graph.scatter_add %u, %i dim 1 : tensor<6x12x2xf64>, tensor<6x12x2xi64> to tensor<6x4x2xf64>
  return
}
func.func @scatter_add_into_more(%u: tensor<4x4xf64>, %i: tensor<4x4xi32> {test.low = 0, test.high = 3})
    attributes {test.exact} {
  %r = graph.scatter_add %u, %i dim 1 : tensor<4x4xf64>, tensor<4x4xi32> to tensor<6x4xf64>
  return
}

// Random and update ops.

func.func @dropout(%x: tensor<4x6x12xf64> {test.low = 1}, %c: tensor<3xi64> {test.low = 0}) attributes {test.exact} {
  %y = graph.dropout %x, %c p 0.5 id 7 : tensor<4x6x12xf64>, tensor<3xi64>
  return
}
func.func @dropout_vector(%x: tensor<12x1xf64> {test.low = 1}, %c: tensor<3xi64> {test.low = 0})
    attributes {test.exact} {
  %y = graph.dropout %x, %c p 0.5 id 0 : tensor<12x1xf64>, tensor<3xi64>
  return
}
func.func @sum_squares(%x: tensor<12xf64>) attributes {test.exact} {
  %s = graph.sum_squares %x : tensor<12xf64>
  return
}
func.func @adamw(%p: tensor<4x6xf64>, %g: tensor<4x6xf64>, %m: tensor<4x6xf64>, %v: tensor<4x6xf64> {test.low = 0},
                 %lr: tensor<f64> {test.real, test.low = 0, test.high = 1}, %t: tensor<i64> {test.low = 1},
                 %clip: tensor<f64> {test.real, test.low = 0, test.high = 1}) attributes {test.exact} {
  %r:3 = graph.adamw %p, %g, %m, %v, %lr, %t, %clip
      {beta1 = 0.9, beta2 = 0.999, eps = 1.0e-8, weight_decay = 0.1, bias_correction = true, adam_w_mode = true}
      : tensor<4x6xf64>, tensor<4x6xf64>, tensor<4x6xf64>, tensor<4x6xf64>, tensor<f64>, tensor<i64>, tensor<f64>
  return
}
func.func @adamw_predicated(%p: tensor<4x6xf64>, %g: tensor<4x6xf64>, %m: tensor<4x6xf64>,
                            %v: tensor<4x6xf64> {test.low = 0}, %lr: tensor<f64> {test.real, test.low = 0, test.high = 1},
                            %t: tensor<i64> {test.low = 1}, %clip: tensor<f64> {test.real, test.low = 0, test.high = 1},
                            %applies: tensor<i1>) attributes {test.exact} {
  %r:3 = graph.adamw %p, %g, %m, %v, %lr, %t, %clip, %applies
      {beta1 = 0.9, beta2 = 0.999, eps = 1.0e-8, weight_decay = 0.1, bias_correction = true, adam_w_mode = true}
      : tensor<4x6xf64>, tensor<4x6xf64>, tensor<4x6xf64>, tensor<4x6xf64>, tensor<f64>, tensor<i64>, tensor<f64>, tensor<i1>
  return
}
func.func @update_loss_scale(%s: tensor<4xf64> {test.low = 1}, %finite: tensor<i1>) attributes {test.exact} {
  %r = graph.update_loss_scale %s, %finite
      {window = 2 : i64, hysteresis = 2 : i64, consecutive_hysteresis = false, minimum = 1.0 : f64} : tensor<4xf64>, tensor<i1>
  return
}
