//===- SharedObject.cpp - what a shared object exports and needs ------------------------------===//
//
// Every read is checked against the end of the bytes: they may be anything.
//
//===------------------------------------------------------------------------------------------===//

#include "runtime/plan/SharedObject.h"

#include <cstring>
#include <elf.h>
#include <optional>

namespace deepshard::runtime {

namespace {

class Reader {
public:
  Reader(std::string_view bytes, bool isCubin) : bytes(bytes), isCubin(isCubin) {}

  SharedObject read() {
    if (std::string fault = readHeader(); !fault.empty()) {
      result.fault = std::move(fault);
      return std::move(result);
    }
    for (uint64_t i = 0; i < header.e_shnum; ++i) {
      auto section = sectionAt(i);
      if (!section) {
        result.fault = "it ends within its table of sections";
        break;
      }
      if (section->sh_type == (isCubin ? SHT_SYMTAB : SHT_DYNSYM))
        readSymbols(*section);
      else if (section->sh_type == SHT_DYNAMIC)
        readDynamic(*section);
    }
    return std::move(result);
  }

private:
  /// The value at `offset`, unless it does not lie within the bytes.
  template <typename T> std::optional<T> at(uint64_t offset) const {
    if (offset > bytes.size() || bytes.size() - offset < sizeof(T))
      return std::nullopt;
    T value;
    std::memcpy(&value, bytes.data() + offset, sizeof(T));
    return value;
  }

  std::string readHeader() {
    std::optional<Elf64_Ehdr> found = at<Elf64_Ehdr>(0);
    if (!found || std::memcmp(found->e_ident, ELFMAG, SELFMAG) != 0)
      return "it does not start as an ELF file does";
    header = *found;
    if (header.e_ident[EI_CLASS] != ELFCLASS64 ||
        header.e_machine != (isCubin ? EM_CUDA : EM_X86_64))
      return isCubin ? "it is not for a GPU" : "it is not for x86-64";
    if (!isCubin && header.e_type != ET_DYN)
      return "it is no shared object";
    if (header.e_shentsize != sizeof(Elf64_Shdr))
      return "its table of sections is of another format";
    return "";
  }

  std::optional<Elf64_Shdr> sectionAt(uint64_t index) const {
    uint64_t within = index * sizeof(Elf64_Shdr); // at most 65,535 sections
    return header.e_shoff > bytes.size() ? std::nullopt : at<Elf64_Shdr>(header.e_shoff + within);
  }

  /// Calls `action` with the entries of a table; a damaged table makes a fault.
  template <typename Entry, typename Action>
  void forEach(const Elf64_Shdr &section, const char *what, Action action) {
    if (section.sh_offset > bytes.size() || section.sh_size > bytes.size() - section.sh_offset) {
      result.fault = std::string("it ends within its ") + what;
      return;
    }
    for (uint64_t i = 0; i + sizeof(Entry) <= section.sh_size; i += sizeof(Entry))
      action(*at<Entry>(section.sh_offset + i));
  }

  void readSymbols(const Elf64_Shdr &section) {
    std::optional<Elf64_Shdr> strings = sectionAt(section.sh_link);
    forEach<Elf64_Sym>(section, "symbols", [&](const Elf64_Sym &symbol) {
      if (symbol.st_shndx == SHN_UNDEF || ELF64_ST_TYPE(symbol.st_info) != STT_FUNC)
        return;
      if (strings)
        if (std::optional<std::string_view> name = text(*strings, symbol.st_name)) {
          result.functions.insert(*name);
          return;
        }
      result.fault = "it ends within the names of its symbols";
    });
  }

  std::optional<std::string_view> text(const Elf64_Shdr &strings, uint64_t index) const {
    if (strings.sh_offset > bytes.size() || strings.sh_size > bytes.size() - strings.sh_offset ||
        index >= strings.sh_size)
      return std::nullopt;
    std::string_view rest =
        bytes.substr(strings.sh_offset, strings.sh_size).substr(static_cast<size_t>(index));
    size_t end = rest.find('\0');
    return end == std::string_view::npos ? std::nullopt : std::optional(rest.substr(0, end));
  }

  void readDynamic(const Elf64_Shdr &section) {
    forEach<Elf64_Dyn>(section, "dynamic section", [&](const Elf64_Dyn &entry) {
      result.needsLibraries |= entry.d_tag == DT_NEEDED;
    });
  }

  std::string_view bytes;
  bool isCubin;
  Elf64_Ehdr header = {};
  SharedObject result;
};

} // namespace

SharedObject readSharedObject(std::string_view bytes) { return Reader(bytes, false).read(); }

SharedObject readCubin(std::string_view bytes) { return Reader(bytes, true).read(); }

} // namespace deepshard::runtime
