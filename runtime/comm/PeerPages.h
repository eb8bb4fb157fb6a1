//===- PeerPages.h - pages of other ranks' windows in this process ----------------------------===//

#ifndef DEEPSHARD_RUNTIME_COMM_PEERPAGES_H
#define DEEPSHARD_RUNTIME_COMM_PEERPAGES_H

#include <cstdint>
#include <list>
#include <unordered_map>

namespace deepshard::runtime {

/// Keeps small what this process maps of other ranks' windows. A page of shared memory counts as
/// resident in every process that has touched it, so a rank that reads its share of all gradients
/// seems to hold them. Parts that were not touched for a while are unmapped, which leaves their
/// content alone; touched again, they cost page faults: a copy then takes about twice as long.
class PeerPages {
public:
  /// `bytes` from `begin` on in another rank's window are about to be read or written. Makes room
  /// for them: unmaps what was touched longest ago until 32 MiB are left, but never what was
  /// touched in this turn. O(1), and for each part that is unmapped.
  void touch(const char *begin, int64_t bytes);

  /// A collective has ended: its pages stay until the next one needs the room, so that one that is
  /// repeated finds them.
  void endTurn() { ++turn; }

private:
  void trim();

  struct Part {
    const char *begin;
    int64_t bytes;
    uint64_t turn; // of the last touch
  };
  using Parts = std::list<Part>;

  Parts parts;                                              // the longest untouched first
  std::unordered_map<const char *, Parts::iterator> places; // by the begin of a part
  int64_t total = 0;                                        // bytes of all parts
  uint64_t turn = 0;                                        // collectives that have ended
};

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_COMM_PEERPAGES_H
