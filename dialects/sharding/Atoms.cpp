//===- Atoms.cpp - axes as lists of sub-axes of prime size ------------------------------------===//

#include "dialects/sharding/Atoms.h"

using namespace mlir;

namespace deepshard::sharding {

/// Where sub-axes of `axis` begin and end, ascending from 1 to its size.
static SmallVector<int64_t> boundariesOf(MeshAttr mesh, unsigned axis, ArrayRef<AxisRefAttr> axes) {
  SmallVector<int64_t> boundaries = {1, mesh.getSizes()[axis]};
  for (AxisRefAttr ref : axes)
    if (!ref.isWhole() && ref.getName() == mesh.getNames()[axis])
      boundaries.append({ref.getPreSize(), ref.getPreSize() * ref.getSize()});
  llvm::sort(boundaries);
  boundaries.erase(llvm::unique(boundaries), boundaries.end());
  return boundaries;
}

SmallVector<StringAttr> Atoms::withoutRefinement(MeshAttr mesh, ArrayRef<AxisRefAttr> axes) {
  SmallVector<StringAttr> names;
  for (unsigned axis = 0; axis < mesh.getNames().size(); ++axis) {
    SmallVector<int64_t> boundaries = boundariesOf(mesh, axis, axes);
    for (size_t i = 1; i < boundaries.size(); ++i)
      if (boundaries[i] % boundaries[i - 1] != 0) {
        names.push_back(mesh.getNames()[axis]);
        break;
      }
  }
  return names;
}

Atoms::Atoms(MeshAttr mesh, ArrayRef<AxisRefAttr> axes) : mesh(mesh) {
  for (unsigned axis = 0; axis < mesh.getNames().size(); ++axis) {
    int64_t preSize = 1;
    for (int64_t boundary : boundariesOf(mesh, axis, axes))
      for (int64_t prime = 2; preSize < boundary;) {
        if (boundary / preSize % prime != 0) {
          ++prime;
          continue;
        }
        atoms.push_back({axis, preSize, prime});
        preSize *= prime;
      }
  }
}

int64_t Atoms::sizeOf(ArrayRef<unsigned> list) const {
  int64_t size = 1;
  for (unsigned atom : list)
    size *= atoms[atom].size;
  return size;
}

int64_t Atoms::count(ArrayRef<unsigned> list, int64_t prime) const {
  return llvm::count_if(list, [&](unsigned atom) { return atoms[atom].size == prime; });
}

AtomList Atoms::listOf(ArrayRef<AxisRefAttr> axes) const {
  AtomList list;
  for (AxisRefAttr ref : axes) {
    std::optional<unsigned> axis = mesh.find(ref.getName());
    assert(axis && "the mesh has no axis of this name");
    int64_t begin = ref.isWhole() ? 1 : ref.getPreSize(), end = begin * mesh.sizeOf(ref);
    for (auto [index, atom] : llvm::enumerate(atoms))
      if (atom.axis == *axis && atom.preSize >= begin && atom.preSize < end)
        list.push_back(index);
  }
  return list;
}

SmallVector<AxisRefAttr> Atoms::axesOf(ArrayRef<unsigned> list) const {
  SmallVector<AxisRefAttr> axes;
  for (unsigned atom : list) {
    const auto &[axis, preSize, size] = atoms[atom];
    axes.push_back(AxisRefAttr::get(mesh.getContext(), mesh.getNames()[axis], preSize, size));
  }
  return mesh.canonical(axes);
}

} // namespace deepshard::sharding
