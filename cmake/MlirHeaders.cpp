// Carries the precompiled MLIR headers of the compiler (see DeepShardMlir.cmake).
