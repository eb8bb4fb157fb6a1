#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace deepshard {

/// Number of insertions, deletions, substitutions and swaps of neighbours between the two (optimal
/// string alignment), O(|a| |b|).
size_t editDistance(std::string_view a, std::string_view b);

/// The candidate with the smallest edit distance to `word` if it is near enough to be a slip of the
/// pen (a third of the word's length, at least 2, 1 for words of up to four letters), else an empty
/// string. Ties go to the first.
std::string nearest(std::string_view word, const std::vector<std::string> &candidates);

} // namespace deepshard
