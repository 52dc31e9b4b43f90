// A compile-time list of op structs. The position of a struct in its list is the op's number in the
// argument blocks of kernel_table.h, so a list is the only registry an op needs.
#pragma once

namespace tarn {

template <class... Ops>
struct List {
  static constexpr int size = sizeof...(Ops);
};

namespace detail {

template <class Op, class L>
struct IndexOf;
template <class Op, class... Rest>
struct IndexOf<Op, List<Op, Rest...>> {
  static constexpr int value = 0;
};
template <class Op, class First, class... Rest>
struct IndexOf<Op, List<First, Rest...>> {
  static constexpr int value = 1 + IndexOf<Op, List<Rest...>>::value;
};

}  // namespace detail

// The place of Op in L, from 0. Does not compile when L does not hold Op.
template <class Op, class L>
inline constexpr int index_of = detail::IndexOf<Op, L>::value;

}  // namespace tarn
