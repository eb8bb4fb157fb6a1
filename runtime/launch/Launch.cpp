//===- Launch.cpp - the ranks of a job as processes of one host -------------------------------===//

#include "runtime/launch/Launch.h"

#include "runtime/comm/World.h"
#include "runtime/plan/Error.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <new>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace deepshard::runtime {

SharedJobState::SharedJobState() {
  void *memory =
      ::mmap(nullptr, sizeof(JobState), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    throw Error(fmt::format("this machine does not give shared memory: {}", std::strerror(errno)));
  state = new (memory) JobState;
}

SharedJobState::~SharedJobState() { ::munmap(state, sizeof(JobState)); }

namespace {

using Clock = std::chrono::steady_clock;

/// Where the handler of a rank's signals writes.
std::atomic<bool> *stopRequest = nullptr;
static_assert(std::atomic<bool>::is_always_lock_free);

/// Cores `rank * threads` to `(rank + 1) * threads` - 1 of those that this process may use.
void pin(int rank, int ranks, int threads) {
  cpu_set_t all;
  if (threads == 0 || ::sched_getaffinity(0, sizeof(all), &all) != 0 ||
      int64_t{ranks} * threads > CPU_COUNT(&all))
    return;
  cpu_set_t own;
  CPU_ZERO(&own);
  int index = 0;
  for (int core = 0; core < CPU_SETSIZE; ++core)
    if (CPU_ISSET(core, &all) && index++ / threads == rank)
      CPU_SET(core, &own);
  ::sched_setaffinity(0, sizeof(own), &own);
}

/// Calls `body`. What it throws ends the job.
ExitCode attempt(World &world, int rank, const std::function<void(int rank)> &body) {
  try {
    body(rank);
    return ExitCode::Done;
  } catch (const Error &error) {
    world.abort(rank, error.what());
    return error.code();
  } catch (const std::bad_alloc &) {
    world.abort(rank, "this machine has not enough memory");
    return ExitCode::BadInput;
  } catch (const std::exception &error) {
    world.abort(rank, fmt::format("internal error: {}", error.what()));
    return ExitCode::Internal;
  }
}

/// Throws the reason that the job was ended for, if it was, from how its ranks ended.
void report(const World &world, const std::vector<ExitCode> &codes) {
  if (!world.isAborted())
    return;
  // Ranks that only stop because another failed end with RankFailed.
  ExitCode code = ExitCode::RankFailed;
  for (ExitCode own : {ExitCode::BadInput, ExitCode::Internal, ExitCode::Diverged})
    if (std::find(codes.begin(), codes.end(), own) != codes.end())
      code = own;
  throw Error(world.abortReason(), code);
}

class Launcher {
public:
  Launcher(World &world, const LaunchOptions &options, JobState &state)
      : world(world), options(options), state(state), children(world.ranks(), 0),
        codes(world.ranks(), ExitCode::Done) {
    // If ended children were ignored, nobody could wait for them.
    std::signal(SIGCHLD, SIG_DFL);
    sigemptyset(&watched);
    for (int signal : {SIGCHLD, SIGINT, SIGTERM})
      sigaddset(&watched, signal);
    ::sigprocmask(SIG_BLOCK, &watched, &before);
  }
  ~Launcher() { ::sigprocmask(SIG_SETMASK, &before, nullptr); }
  Launcher(const Launcher &) = delete;
  Launcher &operator=(const Launcher &) = delete;

  void start(const std::function<void(int rank)> &body);
  void wait();
  const std::vector<ExitCode> &endings() const { return codes; }

private:
  [[noreturn]] void runRank(int rank, pid_t parent, const std::function<void(int rank)> &body);
  void collect();
  void onEnd(int rank, int status);
  void onSignal(int signal);
  void killAll() const;
  bool isAnyAlive() const {
    return std::any_of(children.begin(), children.end(), [](pid_t child) { return child > 0; });
  }

  World &world;
  const LaunchOptions &options;
  JobState &state;
  std::vector<pid_t> children; // 0: not there (any more)
  std::vector<ExitCode> codes;
  sigset_t watched;
  sigset_t before;
  bool wasSignalled = false;
  std::optional<Clock::time_point> end; // when patience with ranks ends
};

void Launcher::killAll() const {
  for (pid_t child : children)
    if (child > 0)
      ::kill(child, SIGKILL);
}

/// The process of a rank from here to its end. It leaves without the destructors of what the
/// parent's stack holds: they are the parent's.
void Launcher::runRank(int rank, pid_t parent, const std::function<void(int rank)> &body) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent)
    ::_exit(static_cast<int>(ExitCode::RankFailed));
  stopRequest = &state.isStopRequested;
  struct sigaction action = {};
  action.sa_handler = [](int) { stopRequest->store(true); };
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  pin(rank, world.ranks(), options.threadsPerRank);
  const ExitCode code = attempt(world, rank, body);
  std::fflush(nullptr);
  ::_exit(static_cast<int>(code));
}

void Launcher::start(const std::function<void(int rank)> &body) {
  // What is in buffers would be written once by each process.
  std::fflush(nullptr);
  pid_t self = ::getpid();
  for (int rank = 0; rank < world.ranks(); ++rank) {
    pid_t child = ::fork();
    if (child == 0)
      runRank(rank, self, body);
    if (child < 0) {
      world.abort(rank, fmt::format("could not be started: {}", std::strerror(errno)));
      return;
    }
    children[rank] = child;
  }
}

void Launcher::onEnd(int rank, int status) {
  children[rank] = 0;
  codes[rank] =
      WIFEXITED(status) ? static_cast<ExitCode>(WEXITSTATUS(status)) : ExitCode::RankFailed;
  if (codes[rank] == ExitCode::Done)
    return;
  // Kept only if nobody gave a reason before: a rank that throws gives its own.
  if (WIFSIGNALED(status))
    world.abort(rank, fmt::format("was ended by signal {} ({})", WTERMSIG(status),
                                  ::strsignal(WTERMSIG(status))));
  else
    world.abort(rank, fmt::format("ended with exit code {}", WEXITSTATUS(status)));
}

void Launcher::collect() {
  for (size_t rank = 0; rank < children.size(); ++rank) {
    int status = 0;
    if (children[rank] > 0 && ::waitpid(children[rank], &status, WNOHANG) == children[rank])
      onEnd(static_cast<int>(rank), status);
  }
}

void Launcher::onSignal(int signal) {
  state.isStopRequested = true;
  if (!std::exchange(wasSignalled, true))
    return;
  killAll();
  for (pid_t child : children)
    if (child > 0)
      ::waitpid(child, nullptr, 0);
  // The second signal ends this process as it would one that does not handle it.
  std::signal(signal, SIG_DFL);
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  ::raise(signal);
}

void Launcher::wait() {
  // Signals end the pause at once; it only bounds how late an abort is noticed.
  constexpr timespec kPause = {0, 50'000'000};
  while (true) {
    collect();
    if (!isAnyAlive())
      return;
    if (!end && world.isAborted())
      end = Clock::now() + options.grace;
    if (end && Clock::now() >= *end)
      killAll();
    int signal = ::sigtimedwait(&watched, nullptr, &kPause);
    if (signal == SIGINT || signal == SIGTERM)
      onSignal(signal);
  }
}

} // namespace

void launch(World &world, const LaunchOptions &options, JobState &state,
            const std::function<void(int rank)> &body) {
  Launcher launcher(world, options, state);
  launcher.start(body);
  launcher.wait();
  report(world, launcher.endings());
}

void launchThreads(World &world, const std::function<void(int rank)> &body) {
  std::vector<ExitCode> codes(static_cast<size_t>(world.ranks()), ExitCode::Done);
  std::vector<std::jthread> threads;
  for (int rank = 0; rank < world.ranks(); ++rank)
    threads.emplace_back(
        [&, rank] { codes[static_cast<size_t>(rank)] = attempt(world, rank, body); });
  threads.clear();
  report(world, codes);
}

} // namespace deepshard::runtime
