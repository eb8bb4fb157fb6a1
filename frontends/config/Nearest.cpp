#include "frontends/config/Nearest.h"

#include <algorithm>

namespace deepshard {

size_t editDistance(std::string_view a, std::string_view b) {
  // Three rows of the usual table: rows[0] is two characters of `a` back, for the swap of
  // neighbours.
  std::vector<std::vector<size_t>> rows(3, std::vector<size_t>(b.size() + 1));
  for (size_t j = 0; j <= b.size(); ++j)
    rows[1][j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    rows[2][0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      size_t cost = a[i - 1] == b[j - 1] ? 0 : 1;
      rows[2][j] = std::min({rows[1][j] + 1, rows[2][j - 1] + 1, rows[1][j - 1] + cost});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        rows[2][j] = std::min(rows[2][j], rows[0][j - 2] + 1);
    }
    std::rotate(rows.begin(), rows.begin() + 1, rows.end());
  }
  return rows[1][b.size()];
}

std::string nearest(std::string_view word, const std::vector<std::string> &candidates) {
  size_t limit = std::max<size_t>(word.size() > 4 ? 2 : 1, word.size() / 3);
  std::string best;
  size_t bestDistance = limit + 1;
  for (const std::string &candidate : candidates) {
    size_t distance = editDistance(word, candidate);
    if (distance < bestDistance && distance < std::max<size_t>(candidate.size(), 1)) {
      bestDistance = distance;
      best = candidate;
    }
  }
  return best;
}

} // namespace deepshard
