//===- Embed.h - a file that becomes part of the library --------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_DEVICE_CUDA_EMBED_H
#define DEEPSHARD_RUNTIME_DEVICE_CUDA_EMBED_H

/// Declares `const char name[]` with the bytes of the file `path`, a literal: a fat binary that
/// CMake made of device code. The file that says so has to depend on it (OBJECT_DEPENDS).
#define DEEPSHARD_EMBED(name, path)                                                                \
  asm(".section .rodata\n.balign 16\n" #name ": .incbin \"" path "\"\n.previous");                 \
  extern "C" const char name[]

#endif // DEEPSHARD_RUNTIME_DEVICE_CUDA_EMBED_H
