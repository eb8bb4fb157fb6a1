//===- Launch.h - the ranks of a job as processes of one host ---------------------------------===//
//
//   the process that was started          rank 0        rank 1        ...
//   reads and checks, makes the World
//   fork ------------------------------>  body(0)       body(1)
//   waits for ends and signals            steps ...     steps ...
//     SIGINT, SIGTERM: asks rank 0 to     stopAfter     sees it
//     stop after a step                   saves         saves
//     a rank fails: World::abort, then
//     SIGKILL for who is still there
//   tells the first failure
//
// Forking comes before any thread exists. Ranks die with the process that started them
// (PR_SET_PDEATHSIG), and all they share is an anonymous mapping, so nothing stays behind however a
// job ends.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_LAUNCH_LAUNCH_H
#define DEEPSHARD_RUNTIME_LAUNCH_LAUNCH_H

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>

namespace deepshard::runtime {

class World;

/// What the processes of a job tell each other besides the World.
struct JobState {
  std::atomic<bool> isStopRequested = false; ///< rank 0 looks before each step
  std::atomic<uint64_t> stepsDone = 0;       ///< by rank 0
};

/// A JobState that processes forked afterwards share.
class SharedJobState {
public:
  /// Throws Error if the machine does not have the memory.
  SharedJobState();
  ~SharedJobState();
  SharedJobState(const SharedJobState &) = delete;
  SharedJobState &operator=(const SharedJobState &) = delete;
  JobState &operator*() const { return *state; }
  JobState *operator->() const { return state; }

private:
  JobState *state;
};

struct LaunchOptions {
  int threadsPerRank = 1; ///< 0: ranks are not pinned
  /// How long ranks may take to notice that the job was aborted.
  std::chrono::milliseconds grace = std::chrono::seconds(5);
};

/// Runs `body` for each rank of `world`, in a process of its own, and waits for all. Ranks are
/// pinned to cores of their own if there are enough for all threads. SIGINT and SIGTERM to any of
/// the processes set `isStopRequested`; a second one to this process ends all of them at once and
/// then this one. Call it while this process has one thread.
///
/// Throws the Error of the rank that failed first: its message after "rank 2: ", its code if the
/// rank ended by throwing Error; "rank 2: was ended by signal 9" and ExitCode::RankFailed if it
/// died.
void launch(World &world, const LaunchOptions &options, JobState &state,
            const std::function<void(int rank)> &body);

/// The same with ranks that are threads of this process. All of them have ended when it returns or
/// throws.
void launchThreads(World &world, const std::function<void(int rank)> &body);

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_LAUNCH_LAUNCH_H
