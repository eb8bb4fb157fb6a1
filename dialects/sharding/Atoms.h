//===- Atoms.h - axes as lists of sub-axes of prime size --------------------------------------===//

#ifndef DEEPSHARD_DIALECTS_SHARDING_ATOMS_H
#define DEEPSHARD_DIALECTS_SHARDING_ATOMS_H

#include "dialects/sharding/Sharding.h"

namespace deepshard::sharding {

using AtomList = llvm::SmallVector<unsigned, 8>;
using AtomLists = llvm::SmallVector<AtomList>;

/// The common refinement of some axes of a mesh: sub-axes of prime size, numbered in the order of
/// the mesh, such that each of the axes is a run of them.
class Atoms {
public:
  /// The names of the axes whose sub-axes among `axes` have no common refinement: where one ends
  /// does not divide where another does.
  static llvm::SmallVector<mlir::StringAttr> withoutRefinement(MeshAttr mesh,
                                                               llvm::ArrayRef<AxisRefAttr> axes);

  /// The refinement of `axes`, which must have one.
  Atoms(MeshAttr mesh, llvm::ArrayRef<AxisRefAttr> axes);

  unsigned size() const { return atoms.size(); }
  /// A prime.
  int64_t sizeOf(unsigned atom) const { return atoms[atom].size; }
  int64_t sizeOf(llvm::ArrayRef<unsigned> list) const;
  /// How many atoms of size `prime` a list has.
  int64_t count(llvm::ArrayRef<unsigned> list, int64_t prime) const;
  /// The atoms of axes that the refinement was made for (or unions of such).
  AtomList listOf(llvm::ArrayRef<AxisRefAttr> axes) const;
  /// The axes that a list of atoms makes, in canonical form.
  llvm::SmallVector<AxisRefAttr> axesOf(llvm::ArrayRef<unsigned> list) const;

private:
  struct Atom {
    unsigned axis;
    int64_t preSize;
    int64_t size;
  };

  MeshAttr mesh;
  llvm::SmallVector<Atom> atoms;
};

} // namespace deepshard::sharding

#endif // DEEPSHARD_DIALECTS_SHARDING_ATOMS_H
