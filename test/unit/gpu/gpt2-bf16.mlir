// GPT-2's micro-batch of two rows of 32 tokens: one layer, 256 columns, 1024 words, dropout 0.1; as partition leaves it.
module attributes {graph.accumulation_steps = 1 : i64, graph.gradient_clipping = 1.000000e+00 : f64, graph.mixed_precision = #graph.mixed_precision<compute = bf16, parameters = bf16>, graph.optimizer = #graph.adamw<learning_rate = 1.000000e-03 : f64, beta1 = 9.000000e-01 : f64, beta2 = 0.99899999999999999 : f64, eps = 1.000000e-08 : f64, weight_decay = 1.000000e-02 : f64, bias_correction = true, adam_w_mode = true>} {
  func.func @micro_batch(%transformer.wte.weight: tensor<1024x256xbf16> {graph.aliases = ["lm_head.weight"], graph.master = f32, graph.parameter = "transformer.wte.weight"}, %transformer.wpe.weight: tensor<32x256xbf16> {graph.master = f32, graph.parameter = "transformer.wpe.weight"}, %transformer.h.0.ln_1.weight: tensor<256xbf16> {graph.master = f32, graph.parameter = "transformer.h.0.ln_1.weight"}, %transformer.h.0.ln_1.bias: tensor<256xbf16> {graph.master = f32, graph.parameter = "transformer.h.0.ln_1.bias"}, %transformer.h.0.attn.c_attn.weight: tensor<256x768xbf16> {graph.master = f32, graph.parameter = "transformer.h.0.attn.c_attn.weight"}, %transformer.h.0.attn.c_attn.bias: tensor<768xbf16> {graph.master = f32, graph.parameter = "transformer.h.0.attn.c_attn.bias"}, %transformer.h.0.attn.c_proj.weight: tensor<256x256xbf16> {graph.master = f32, graph.parameter = "transformer.h.0.attn.c_proj.weight"}, %transformer.h.0.attn.c_proj.bias: tensor<256xbf16> {graph.master = f32, graph.parameter = "transformer.h.0.attn.c_proj.bias"}, %transformer.h.0.ln_2.weight: tensor<256xbf16> {graph.master = f32, graph.parameter = "transformer.h.0.ln_2.weight"}, %transformer.h.0.ln_2.bias: tensor<256xbf16> {graph.master = f32, graph.parameter = "transformer.h.0.ln_2.bias"}, %transformer.h.0.mlp.c_fc.weight: tensor<256x1024xbf16> {graph.master = f32, graph.parameter = "transformer.h.0.mlp.c_fc.weight"}, %transformer.h.0.mlp.c_fc.bias: tensor<1024xbf16> {graph.master = f32, graph.parameter = "transformer.h.0.mlp.c_fc.bias"}, %transformer.h.0.mlp.c_proj.weight: tensor<1024x256xbf16> {graph.master = f32, graph.parameter = "transformer.h.0.mlp.c_proj.weight"}, %transformer.h.0.mlp.c_proj.bias: tensor<256xbf16> {graph.master = f32, graph.parameter = "transformer.h.0.mlp.c_proj.bias"}, %transformer.ln_f.weight: tensor<256xbf16> {graph.master = f32, graph.parameter = "transformer.ln_f.weight"}, %transformer.ln_f.bias: tensor<256xbf16> {graph.master = f32, graph.parameter = "transformer.ln_f.bias"}, %input_ids: tensor<2x32xi64> {graph.batch_dimension = 0 : i64, graph.index_bound = 1024 : i64, graph.input = "input_ids"}, %labels: tensor<2x32xi64> {graph.batch_dimension = 0 : i64, graph.ignored_index = -100 : i64, graph.index_bound = 1024 : i64, graph.input = "labels"}, %counter: tensor<3xi64> {graph.run_state = "random_counter"}) -> (tensor<f32> {graph.metric = "loss", graph.output = "loss"}, tensor<1024x256xf32> {graph.gradient = "transformer.wte.weight"}, tensor<32x256xf32> {graph.gradient = "transformer.wpe.weight"}, tensor<256xf32> {graph.gradient = "transformer.h.0.ln_1.weight"}, tensor<256xf32> {graph.gradient = "transformer.h.0.ln_1.bias"}, tensor<256x768xf32> {graph.gradient = "transformer.h.0.attn.c_attn.weight"}, tensor<768xf32> {graph.gradient = "transformer.h.0.attn.c_attn.bias"}, tensor<256x256xf32> {graph.gradient = "transformer.h.0.attn.c_proj.weight"}, tensor<256xf32> {graph.gradient = "transformer.h.0.attn.c_proj.bias"}, tensor<256xf32> {graph.gradient = "transformer.h.0.ln_2.weight"}, tensor<256xf32> {graph.gradient = "transformer.h.0.ln_2.bias"}, tensor<256x1024xf32> {graph.gradient = "transformer.h.0.mlp.c_fc.weight"}, tensor<1024xf32> {graph.gradient = "transformer.h.0.mlp.c_fc.bias"}, tensor<1024x256xf32> {graph.gradient = "transformer.h.0.mlp.c_proj.weight"}, tensor<256xf32> {graph.gradient = "transformer.h.0.mlp.c_proj.bias"}, tensor<256xf32> {graph.gradient = "transformer.ln_f.weight"}, tensor<256xf32> {graph.gradient = "transformer.ln_f.bias"}) {
    %0 = graph.constant {graph.phase = "forward"} dense<-100> : tensor<i64>
    %transformer.wte = graph.embedding %transformer.wte.weight, %input_ids {graph.phase = "forward"} : tensor<1024x256xbf16>, tensor<2x32xi64>
    %transformer.wpe = graph.reshape %transformer.wpe.weight {graph.phase = "forward"} : tensor<32x256xbf16> to tensor<1x32x256xbf16>
    %transformer = graph.convert %transformer.wte {graph.phase = "forward"} : tensor<2x32x256xbf16> to tensor<2x32x256xf32>
    %transformer_0 = graph.convert %transformer.wpe {graph.phase = "forward"} : tensor<1x32x256xbf16> to tensor<1x32x256xf32>
    %transformer_1 = graph.add %transformer, %transformer_0 {graph.phase = "forward"} : tensor<2x32x256xf32>, tensor<1x32x256xf32>
    %transformer_2 = graph.convert %transformer_1 {graph.phase = "forward"} : tensor<2x32x256xf32> to tensor<2x32x256xbf16>
    %transformer.drop = graph.convert %transformer_2 {graph.phase = "forward"} : tensor<2x32x256xbf16> to tensor<2x32x256xf32>
    %transformer.drop_3 = graph.dropout %transformer.drop, %counter p 1.000000e-01 id 0 {graph.phase = "forward"} : tensor<2x32x256xf32>, tensor<3xi64>
    %transformer.drop_4 = graph.convert %transformer.drop_3 {graph.phase = "forward"} : tensor<2x32x256xf32> to tensor<2x32x256xbf16>
    %transformer.h.0.ln_1 = graph.convert %transformer.drop_4 {graph.phase = "forward"} : tensor<2x32x256xbf16> to tensor<2x32x256xf32>
    %transformer.h.0.ln_1_5 = graph.convert %transformer.h.0.ln_1.weight {graph.phase = "forward"} : tensor<256xbf16> to tensor<256xf32>
    %transformer.h.0.ln_1_6 = graph.convert %transformer.h.0.ln_1.bias {graph.phase = "forward"} : tensor<256xbf16> to tensor<256xf32>
    %transformer.h.0.ln_1_7, %transformer.h.0.ln_1_8, %transformer.h.0.ln_1_9 = graph.layer_norm %transformer.h.0.ln_1, %transformer.h.0.ln_1_5, %transformer.h.0.ln_1_6 eps 1.000000e-05 {graph.phase = "forward"} : tensor<2x32x256xf32>, tensor<256xf32>, tensor<256xf32>
    %transformer.h.0.ln_1_10 = graph.convert %transformer.h.0.ln_1_7 {graph.phase = "forward"} : tensor<2x32x256xf32> to tensor<2x32x256xbf16>
    %transformer.h.0.attn.c_attn = graph.linear %transformer.h.0.ln_1_10, %transformer.h.0.attn.c_attn.weight, %transformer.h.0.attn.c_attn.bias {graph.phase = "forward"} : tensor<2x32x256xbf16>, tensor<256x768xbf16>, tensor<768xbf16>
    %transformer.h.0.attn = graph.slice %transformer.h.0.attn.c_attn [0, 0, 0] to [2, 32, 256] by [1, 1, 1] {graph.phase = "forward"} : tensor<2x32x768xbf16>
    %transformer.h.0.attn_11 = graph.slice %transformer.h.0.attn.c_attn [0, 0, 256] to [2, 32, 512] by [1, 1, 1] {graph.phase = "forward"} : tensor<2x32x768xbf16>
    %transformer.h.0.attn_12 = graph.slice %transformer.h.0.attn.c_attn [0, 0, 512] to [2, 32, 768] by [1, 1, 1] {graph.phase = "forward"} : tensor<2x32x768xbf16>
    %transformer.h.0.attn_13 = graph.reshape %transformer.h.0.attn_11 {graph.phase = "forward"} : tensor<2x32x256xbf16> to tensor<2x32x4x64xbf16>
    %transformer.h.0.attn_14 = graph.transpose %transformer.h.0.attn_13 [0, 2, 1, 3] {graph.phase = "forward"} : tensor<2x32x4x64xbf16>
    %transformer.h.0.attn_15 = graph.reshape %transformer.h.0.attn_12 {graph.phase = "forward"} : tensor<2x32x256xbf16> to tensor<2x32x4x64xbf16>
    %transformer.h.0.attn_16 = graph.transpose %transformer.h.0.attn_15 [0, 2, 1, 3] {graph.phase = "forward"} : tensor<2x32x4x64xbf16>
    %transformer.h.0.attn_17 = graph.reshape %transformer.h.0.attn {graph.phase = "forward"} : tensor<2x32x256xbf16> to tensor<2x32x4x64xbf16>
    %transformer.h.0.attn_18 = graph.transpose %transformer.h.0.attn_17 [0, 2, 1, 3] {graph.phase = "forward"} : tensor<2x32x4x64xbf16>
    %transformer.h.0.attn_19, %transformer.h.0.attn_20 = graph.attention %transformer.h.0.attn_18, %transformer.h.0.attn_14, %transformer.h.0.attn_16 counter %counter scale 1.250000e-01 causal {dropout = 1.000000e-01 : f64, graph.phase = "forward", id = 1 : i64} : tensor<2x4x32x64xbf16>, tensor<2x4x32x64xbf16>, tensor<2x4x32x64xbf16>, tensor<3xi64>
    %transformer.h.0.attn_21 = graph.transpose %transformer.h.0.attn_19 [0, 2, 1, 3] {graph.phase = "forward"} : tensor<2x4x32x64xbf16>
    %transformer.h.0.attn_22 = graph.reshape %transformer.h.0.attn_21 {graph.phase = "forward"} : tensor<2x32x4x64xbf16> to tensor<2x32x256xbf16>
    %transformer.h.0.attn.c_proj = graph.linear %transformer.h.0.attn_22, %transformer.h.0.attn.c_proj.weight, %transformer.h.0.attn.c_proj.bias {graph.phase = "forward"} : tensor<2x32x256xbf16>, tensor<256x256xbf16>, tensor<256xbf16>
    %transformer.h.0.attn.resid_dropout = graph.convert %transformer.h.0.attn.c_proj {graph.phase = "forward"} : tensor<2x32x256xbf16> to tensor<2x32x256xf32>
    %transformer.h.0.attn.resid_dropout_23 = graph.dropout %transformer.h.0.attn.resid_dropout, %counter p 1.000000e-01 id 2 {graph.phase = "forward"} : tensor<2x32x256xf32>, tensor<3xi64>
    %transformer.h.0.attn.resid_dropout_24 = graph.convert %transformer.h.0.attn.resid_dropout_23 {graph.phase = "forward"} : tensor<2x32x256xf32> to tensor<2x32x256xbf16>
    %transformer.h.0 = graph.convert %transformer.h.0.attn.resid_dropout_24 {graph.phase = "forward"} : tensor<2x32x256xbf16> to tensor<2x32x256xf32>
    %transformer.h.0_25 = graph.add %transformer.h.0, %transformer.h.0.ln_1 {graph.phase = "forward"} : tensor<2x32x256xf32>, tensor<2x32x256xf32>
    %transformer.h.0_26 = graph.convert %transformer.h.0_25 {graph.phase = "forward"} : tensor<2x32x256xf32> to tensor<2x32x256xbf16>
    %transformer.h.0.ln_2 = graph.convert %transformer.h.0_26 {graph.phase = "forward"} : tensor<2x32x256xbf16> to tensor<2x32x256xf32>
    %transformer.h.0.ln_2_27 = graph.convert %transformer.h.0.ln_2.weight {graph.phase = "forward"} : tensor<256xbf16> to tensor<256xf32>
    %transformer.h.0.ln_2_28 = graph.convert %transformer.h.0.ln_2.bias {graph.phase = "forward"} : tensor<256xbf16> to tensor<256xf32>
    %transformer.h.0.ln_2_29, %transformer.h.0.ln_2_30, %transformer.h.0.ln_2_31 = graph.layer_norm %transformer.h.0.ln_2, %transformer.h.0.ln_2_27, %transformer.h.0.ln_2_28 eps 1.000000e-05 {graph.phase = "forward"} : tensor<2x32x256xf32>, tensor<256xf32>, tensor<256xf32>
    %transformer.h.0.ln_2_32 = graph.convert %transformer.h.0.ln_2_29 {graph.phase = "forward"} : tensor<2x32x256xf32> to tensor<2x32x256xbf16>
    %transformer.h.0.mlp.c_fc = graph.linear %transformer.h.0.ln_2_32, %transformer.h.0.mlp.c_fc.weight, %transformer.h.0.mlp.c_fc.bias {graph.phase = "forward"} : tensor<2x32x256xbf16>, tensor<256x1024xbf16>, tensor<1024xbf16>
    %transformer.h.0.mlp.act = graph.convert %transformer.h.0.mlp.c_fc {graph.phase = "forward"} : tensor<2x32x1024xbf16> to tensor<2x32x1024xf32>
    %transformer.h.0.mlp.act_33 = graph.gelu tanh %transformer.h.0.mlp.act {graph.phase = "forward"} : tensor<2x32x1024xf32>
    %transformer.h.0.mlp.act_34 = graph.convert %transformer.h.0.mlp.act_33 {graph.phase = "forward"} : tensor<2x32x1024xf32> to tensor<2x32x1024xbf16>
    %transformer.h.0.mlp.c_proj = graph.linear %transformer.h.0.mlp.act_34, %transformer.h.0.mlp.c_proj.weight, %transformer.h.0.mlp.c_proj.bias {graph.phase = "forward"} : tensor<2x32x1024xbf16>, tensor<1024x256xbf16>, tensor<256xbf16>
    %transformer.h.0.mlp.dropout = graph.convert %transformer.h.0.mlp.c_proj {graph.phase = "forward"} : tensor<2x32x256xbf16> to tensor<2x32x256xf32>
    %transformer.h.0.mlp.dropout_35 = graph.dropout %transformer.h.0.mlp.dropout, %counter p 1.000000e-01 id 3 {graph.phase = "forward"} : tensor<2x32x256xf32>, tensor<3xi64>
    %transformer.h.0.mlp.dropout_36 = graph.convert %transformer.h.0.mlp.dropout_35 {graph.phase = "forward"} : tensor<2x32x256xf32> to tensor<2x32x256xbf16>
    %transformer.h.0_37 = graph.convert %transformer.h.0.mlp.dropout_36 {graph.phase = "forward"} : tensor<2x32x256xbf16> to tensor<2x32x256xf32>
    %transformer.h.0_38 = graph.add %transformer.h.0.ln_2, %transformer.h.0_37 {graph.phase = "forward"} : tensor<2x32x256xf32>, tensor<2x32x256xf32>
    %transformer.h.0_39 = graph.convert %transformer.h.0_38 {graph.phase = "forward"} : tensor<2x32x256xf32> to tensor<2x32x256xbf16>
    %transformer.ln_f = graph.convert %transformer.h.0_39 {graph.phase = "forward"} : tensor<2x32x256xbf16> to tensor<2x32x256xf32>
    %transformer.ln_f_40 = graph.convert %transformer.ln_f.weight {graph.phase = "forward"} : tensor<256xbf16> to tensor<256xf32>
    %transformer.ln_f_41 = graph.convert %transformer.ln_f.bias {graph.phase = "forward"} : tensor<256xbf16> to tensor<256xf32>
    %transformer.ln_f_42, %transformer.ln_f_43, %transformer.ln_f_44 = graph.layer_norm %transformer.ln_f, %transformer.ln_f_40, %transformer.ln_f_41 eps 1.000000e-05 {graph.phase = "forward"} : tensor<2x32x256xf32>, tensor<256xf32>, tensor<256xf32>
    %transformer.ln_f_45 = graph.convert %transformer.ln_f_42 {graph.phase = "forward"} : tensor<2x32x256xf32> to tensor<2x32x256xbf16>
    %lm_head = graph.linear %transformer.ln_f_45, %transformer.wte.weight transpose_weight {graph.phase = "forward"} : tensor<2x32x256xbf16>, tensor<1024x256xbf16>
    %1 = graph.pad %labels, %0 low [0, 0] high [0, 1] interior [0, 0] {graph.phase = "forward"} : tensor<2x32xi64>, tensor<i64>
    %2 = graph.slice %1 [0, 1] to [2, 33] by [1, 1] {graph.phase = "forward"} : tensor<2x33xi64>
    %loss_sum, %count, %lse = graph.cross_entropy %lm_head, %2 ignore_index -100 {graph.phase = "forward"} : tensor<2x32x1024xbf16>, tensor<2x32xi64>
    %3 = graph.div %loss_sum, %count {graph.phase = "forward"} : tensor<f32>, tensor<f32>
    %4 = graph.constant {graph.phase = "backward"} dense<1.000000e+00> : tensor<f32>
    %5 = graph.div %4, %count {graph.phase = "backward"} : tensor<f32>, tensor<f32>
    %6 = graph.cross_entropy_grad %lm_head, %2, %lse, %5 ignore_index -100 {graph.phase = "backward"} : tensor<2x32x1024xbf16>, tensor<2x32xi64>, tensor<2x32xf32>, tensor<f32>
    %lm_head_46 = graph.matmul %6, %transformer.wte.weight batch [] x [] contract [2] x [0] {graph.phase = "backward"} : tensor<2x32x1024xbf16>, tensor<1024x256xbf16>
    %lm_head_47 = graph.matmul %6, %transformer.ln_f_45 batch [] x [] contract [0, 1] x [0, 1] in f32 {graph.phase = "backward"} : tensor<2x32x1024xbf16>, tensor<2x32x256xbf16>
    %transformer.ln_f_48 = graph.convert %lm_head_46 {graph.phase = "backward"} : tensor<2x32x256xbf16> to tensor<2x32x256xf32>
    %transformer.ln_f_49, %transformer.ln_f_50, %transformer.ln_f_51 = graph.layer_norm_grad %transformer.ln_f_48, %transformer.ln_f, %transformer.ln_f_40, %transformer.ln_f_43, %transformer.ln_f_44 {graph.phase = "backward"} : tensor<2x32x256xf32>, tensor<2x32x256xf32>, tensor<256xf32>, tensor<2x32xf32>, tensor<2x32xf32>
    %transformer.h.0.mlp.dropout_52 = graph.dropout %transformer.ln_f_49, %counter p 1.000000e-01 id 3 {graph.phase = "backward"} : tensor<2x32x256xf32>, tensor<3xi64>
    %transformer.h.0.mlp.dropout_53 = graph.convert %transformer.h.0.mlp.dropout_52 {graph.phase = "backward"} : tensor<2x32x256xf32> to tensor<2x32x256xbf16>
    %transformer.h.0.mlp.c_proj_54 = graph.matmul %transformer.h.0.mlp.dropout_53, %transformer.h.0.mlp.c_proj.weight batch [] x [] contract [2] x [1] {graph.phase = "backward"} : tensor<2x32x256xbf16>, tensor<1024x256xbf16>
    %transformer.h.0.mlp.c_proj_55 = graph.matmul %transformer.h.0.mlp.act_34, %transformer.h.0.mlp.dropout_53 batch [] x [] contract [0, 1] x [0, 1] in f32 {graph.phase = "backward"} : tensor<2x32x1024xbf16>, tensor<2x32x256xbf16>
    %transformer.h.0.mlp.c_proj_56 = graph.reduce_sum %transformer.h.0.mlp.dropout_52 dims [0, 1] {graph.phase = "backward"} : tensor<2x32x256xf32>
    %transformer.h.0.mlp.act_57 = graph.convert %transformer.h.0.mlp.c_proj_54 {graph.phase = "backward"} : tensor<2x32x1024xbf16> to tensor<2x32x1024xf32>
    %transformer.h.0.mlp.act_58 = graph.gelu_grad tanh %transformer.h.0.mlp.act_57, %transformer.h.0.mlp.act {graph.phase = "backward"} : tensor<2x32x1024xf32>
    %transformer.h.0.mlp.act_59 = graph.convert %transformer.h.0.mlp.act_58 {graph.phase = "backward"} : tensor<2x32x1024xf32> to tensor<2x32x1024xbf16>
    %transformer.h.0.mlp.c_fc_60 = graph.matmul %transformer.h.0.mlp.act_59, %transformer.h.0.mlp.c_fc.weight batch [] x [] contract [2] x [1] {graph.phase = "backward"} : tensor<2x32x1024xbf16>, tensor<256x1024xbf16>
    %transformer.h.0.mlp.c_fc_61 = graph.matmul %transformer.h.0.ln_2_32, %transformer.h.0.mlp.act_59 batch [] x [] contract [0, 1] x [0, 1] in f32 {graph.phase = "backward"} : tensor<2x32x256xbf16>, tensor<2x32x1024xbf16>
    %transformer.h.0.mlp.c_fc_62 = graph.reduce_sum %transformer.h.0.mlp.act_58 dims [0, 1] {graph.phase = "backward"} : tensor<2x32x1024xf32>
    %transformer.h.0.ln_2_63 = graph.convert %transformer.h.0.mlp.c_fc_60 {graph.phase = "backward"} : tensor<2x32x256xbf16> to tensor<2x32x256xf32>
    %transformer.h.0.ln_2_64, %transformer.h.0.ln_2_65, %transformer.h.0.ln_2_66 = graph.layer_norm_grad %transformer.h.0.ln_2_63, %transformer.h.0.ln_2, %transformer.h.0.ln_2_27, %transformer.h.0.ln_2_30, %transformer.h.0.ln_2_31 {graph.phase = "backward"} : tensor<2x32x256xf32>, tensor<2x32x256xf32>, tensor<256xf32>, tensor<2x32xf32>, tensor<2x32xf32>
    %transformer.h.0.ln_2_67 = graph.add %transformer.ln_f_49, %transformer.h.0.ln_2_64 {graph.phase = "backward"} : tensor<2x32x256xf32>, tensor<2x32x256xf32>
    %transformer.h.0.attn.resid_dropout_68 = graph.dropout %transformer.h.0.ln_2_67, %counter p 1.000000e-01 id 2 {graph.phase = "backward"} : tensor<2x32x256xf32>, tensor<3xi64>
    %transformer.h.0.attn.resid_dropout_69 = graph.convert %transformer.h.0.attn.resid_dropout_68 {graph.phase = "backward"} : tensor<2x32x256xf32> to tensor<2x32x256xbf16>
    %transformer.h.0.attn.c_proj_70 = graph.matmul %transformer.h.0.attn.resid_dropout_69, %transformer.h.0.attn.c_proj.weight batch [] x [] contract [2] x [1] {graph.phase = "backward"} : tensor<2x32x256xbf16>, tensor<256x256xbf16>
    %transformer.h.0.attn.c_proj_71 = graph.matmul %transformer.h.0.attn_22, %transformer.h.0.attn.resid_dropout_69 batch [] x [] contract [0, 1] x [0, 1] in f32 {graph.phase = "backward"} : tensor<2x32x256xbf16>, tensor<2x32x256xbf16>
    %transformer.h.0.attn.c_proj_72 = graph.reduce_sum %transformer.h.0.attn.resid_dropout_68 dims [0, 1] {graph.phase = "backward"} : tensor<2x32x256xf32>
    %transformer.h.0.attn_73 = graph.reshape %transformer.h.0.attn.c_proj_70 {graph.phase = "backward"} : tensor<2x32x256xbf16> to tensor<2x32x4x64xbf16>
    %transformer.h.0.attn_74 = graph.transpose %transformer.h.0.attn_73 [0, 2, 1, 3] {graph.phase = "backward"} : tensor<2x32x4x64xbf16>
    %transformer.h.0.attn_75, %transformer.h.0.attn_76, %transformer.h.0.attn_77 = graph.attention_grad %transformer.h.0.attn_74, %transformer.h.0.attn_18, %transformer.h.0.attn_14, %transformer.h.0.attn_16, %transformer.h.0.attn_19, %transformer.h.0.attn_20 counter %counter scale 1.250000e-01 causal {dropout = 1.000000e-01 : f64, graph.phase = "backward", id = 1 : i64} : tensor<2x4x32x64xbf16>, tensor<2x4x32x64xbf16>, tensor<2x4x32x64xbf16>, tensor<2x4x32x64xbf16>, tensor<2x4x32x64xbf16>, tensor<2x4x32xf32>, tensor<3xi64>
    %transformer.h.0.attn_78 = graph.transpose %transformer.h.0.attn_75 [0, 2, 1, 3] {graph.phase = "backward"} : tensor<2x4x32x64xbf16>
    %transformer.h.0.attn_79 = graph.reshape %transformer.h.0.attn_78 {graph.phase = "backward"} : tensor<2x32x4x64xbf16> to tensor<2x32x256xbf16>
    %transformer.h.0.attn_80 = graph.transpose %transformer.h.0.attn_77 [0, 2, 1, 3] {graph.phase = "backward"} : tensor<2x4x32x64xbf16>
    %transformer.h.0.attn_81 = graph.reshape %transformer.h.0.attn_80 {graph.phase = "backward"} : tensor<2x32x4x64xbf16> to tensor<2x32x256xbf16>
    %transformer.h.0.attn_82 = graph.transpose %transformer.h.0.attn_76 [0, 2, 1, 3] {graph.phase = "backward"} : tensor<2x4x32x64xbf16>
    %transformer.h.0.attn_83 = graph.reshape %transformer.h.0.attn_82 {graph.phase = "backward"} : tensor<2x32x4x64xbf16> to tensor<2x32x256xbf16>
    %transformer.h.0.attn_84 = graph.constant {graph.phase = "backward"} dense<0.000000e+00> : tensor<bf16>
    %transformer.h.0.attn_85 = graph.pad %transformer.h.0.attn_81, %transformer.h.0.attn_84 low [0, 0, 512] high [0, 0, 0] interior [0, 0, 0] {graph.phase = "backward"} : tensor<2x32x256xbf16>, tensor<bf16>
    %transformer.h.0.attn_86 = graph.pad %transformer.h.0.attn_83, %transformer.h.0.attn_84 low [0, 0, 256] high [0, 0, 256] interior [0, 0, 0] {graph.phase = "backward"} : tensor<2x32x256xbf16>, tensor<bf16>
    %transformer.h.0.attn_87 = graph.convert %transformer.h.0.attn_86 {graph.phase = "backward"} : tensor<2x32x768xbf16> to tensor<2x32x768xf32>
    %transformer.h.0.attn_88 = graph.convert %transformer.h.0.attn_85 {graph.phase = "backward"} : tensor<2x32x768xbf16> to tensor<2x32x768xf32>
    %transformer.h.0.attn_89 = graph.add %transformer.h.0.attn_88, %transformer.h.0.attn_87 {graph.phase = "backward"} : tensor<2x32x768xf32>, tensor<2x32x768xf32>
    %transformer.h.0.attn_90 = graph.pad %transformer.h.0.attn_79, %transformer.h.0.attn_84 low [0, 0, 0] high [0, 0, 512] interior [0, 0, 0] {graph.phase = "backward"} : tensor<2x32x256xbf16>, tensor<bf16>
    %transformer.h.0.attn_91 = graph.convert %transformer.h.0.attn_90 {graph.phase = "backward"} : tensor<2x32x768xbf16> to tensor<2x32x768xf32>
    %transformer.h.0.attn_92 = graph.add %transformer.h.0.attn_89, %transformer.h.0.attn_91 {graph.phase = "backward"} : tensor<2x32x768xf32>, tensor<2x32x768xf32>
    %transformer.h.0.attn_93 = graph.convert %transformer.h.0.attn_92 {graph.phase = "backward"} : tensor<2x32x768xf32> to tensor<2x32x768xbf16>
    %transformer.h.0.attn.c_attn_94 = graph.matmul %transformer.h.0.attn_93, %transformer.h.0.attn.c_attn.weight batch [] x [] contract [2] x [1] {graph.phase = "backward"} : tensor<2x32x768xbf16>, tensor<256x768xbf16>
    %transformer.h.0.attn.c_attn_95 = graph.matmul %transformer.h.0.ln_1_10, %transformer.h.0.attn_93 batch [] x [] contract [0, 1] x [0, 1] in f32 {graph.phase = "backward"} : tensor<2x32x256xbf16>, tensor<2x32x768xbf16>
    %transformer.h.0.attn.c_attn_96 = graph.reduce_sum %transformer.h.0.attn_92 dims [0, 1] {graph.phase = "backward"} : tensor<2x32x768xf32>
    %transformer.h.0.ln_1_97 = graph.convert %transformer.h.0.attn.c_attn_94 {graph.phase = "backward"} : tensor<2x32x256xbf16> to tensor<2x32x256xf32>
    %transformer.h.0.ln_1_98, %transformer.h.0.ln_1_99, %transformer.h.0.ln_1_100 = graph.layer_norm_grad %transformer.h.0.ln_1_97, %transformer.h.0.ln_1, %transformer.h.0.ln_1_5, %transformer.h.0.ln_1_8, %transformer.h.0.ln_1_9 {graph.phase = "backward"} : tensor<2x32x256xf32>, tensor<2x32x256xf32>, tensor<256xf32>, tensor<2x32xf32>, tensor<2x32xf32>
    %transformer.h.0.ln_1_101 = graph.add %transformer.h.0.ln_2_67, %transformer.h.0.ln_1_98 {graph.phase = "backward"} : tensor<2x32x256xf32>, tensor<2x32x256xf32>
    %transformer.drop_102 = graph.dropout %transformer.h.0.ln_1_101, %counter p 1.000000e-01 id 0 {graph.phase = "backward"} : tensor<2x32x256xf32>, tensor<3xi64>
    %transformer_103 = graph.reduce_sum %transformer.drop_102 dims [0] {graph.phase = "backward"} : tensor<2x32x256xf32>
    %transformer_104 = graph.reshape %transformer_103 {graph.phase = "backward"} : tensor<32x256xf32> to tensor<1x32x256xf32>
    %transformer_105 = graph.convert %transformer_104 {graph.phase = "backward"} : tensor<1x32x256xf32> to tensor<1x32x256xbf16>
    %transformer.wpe_106 = graph.reshape %transformer_105 {graph.phase = "backward"} : tensor<1x32x256xbf16> to tensor<32x256xbf16>
    %transformer.wpe_107 = graph.convert %transformer.wpe_106 {graph.phase = "backward"} : tensor<32x256xbf16> to tensor<32x256xf32>
    %transformer.wte_108 = graph.embedding_grad %transformer.drop_102, %input_ids rows 1024 {graph.phase = "backward"} : tensor<2x32x256xf32>, tensor<2x32xi64>
    %transformer.wte_109 = graph.add %lm_head_47, %transformer.wte_108 {graph.phase = "backward"} : tensor<1024x256xf32>, tensor<1024x256xf32>
    return %3, %transformer.wte_109, %transformer.wpe_107, %transformer.h.0.ln_1_99, %transformer.h.0.ln_1_100, %transformer.h.0.attn.c_attn_95, %transformer.h.0.attn.c_attn_96, %transformer.h.0.attn.c_proj_71, %transformer.h.0.attn.c_proj_72, %transformer.h.0.ln_2_65, %transformer.h.0.ln_2_66, %transformer.h.0.mlp.c_fc_61, %transformer.h.0.mlp.c_fc_62, %transformer.h.0.mlp.c_proj_55, %transformer.h.0.mlp.c_proj_56, %transformer.ln_f_50, %transformer.ln_f_51 : tensor<f32>, tensor<1024x256xf32>, tensor<32x256xf32>, tensor<256xf32>, tensor<256xf32>, tensor<256x768xf32>, tensor<768xf32>, tensor<256x256xf32>, tensor<256xf32>, tensor<256xf32>, tensor<256xf32>, tensor<256x1024xf32>, tensor<1024xf32>, tensor<1024x256xf32>, tensor<256xf32>, tensor<256xf32>, tensor<256xf32>
  }
}
