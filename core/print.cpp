// Formatted as libtorch 2.13's aten/src/ATen/core/Formatting.cpp prints, irregular indents
// included, so that the output of ported programs does not change.
#include "tarn/core/print.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iostream>
#include <string>

#include "tarn/core/grad_mode.h"

namespace tarn {
namespace {

// How the elements of one matrix or vector are written.
struct Format {
  std::chars_format style = std::chars_format::fixed;
  int precision = 4;
  int width = 0;
  double scale = 1;  // elements are divided by it

  std::string text(double value) const {
    char buffer[400];  // fixed takes up to 309 digits
    const auto end =
        std::to_chars(buffer, buffer + sizeof buffer, value / scale, style, precision).ptr;
    const auto length = static_cast<size_t>(end - buffer);
    return std::string(
               static_cast<size_t>(width) > length ? static_cast<size_t>(width) - length : 0, ' ') +
           std::string(buffer, length);
  }
};

// Digits before the point.
double magnitude(double value) { return value == 0 ? 1 : std::floor(std::log10(value)) + 1; }

Format choose_format(const double* values, int64_t n) {
  bool whole = true, any = false;
  double least = 1, greatest = 1;
  for (int64_t i = 0; i < n; ++i) {
    if (!std::isfinite(values[i])) continue;
    whole &= values[i] == std::ceil(values[i]);
    const double size = std::abs(values[i]);
    least = any ? std::min(least, size) : size;
    greatest = any ? std::max(greatest, size) : size;
    any = true;
  }
  const double low = magnitude(least), high = magnitude(greatest);
  Format f;
  if (whole) {
    if (high <= 9) {
      f.style = std::chars_format::general;
      f.precision = 6;
      f.width = static_cast<int>(high) + 1;
      return f;
    }
  } else if (high - low <= 4) {
    const bool scaled = high > 5 || high < 0;
    if (scaled) f.scale = std::pow(10, high - 1);
    f.width = scaled || high == 0 ? 7 : static_cast<int>(high) + 6;
    return f;
  }
  f.style = std::chars_format::scientific;
  f.width = !whole && (std::abs(high) > 99 || std::abs(low) > 99) ? 12 : 11;
  return f;
}

// As few digits as tell the number from its neighbours; an exponent from 1e16 on and below 1e-4.
std::string shortest(double value) {
  char buffer[64];
  const double size = std::abs(value);
  const bool plain = size == 0 || !std::isfinite(size) || (size >= 1e-4 && size < 1e16);
  const auto style = plain ? std::chars_format::fixed : std::chars_format::scientific;
  return {buffer, std::to_chars(buffer, buffer + sizeof buffer, value, style).ptr};
}

void print_vector(std::ostream& os, const double* values, int64_t n) {
  const Format f = choose_format(values, n);
  if (f.scale != 1) os << shortest(f.scale) << " *\n";
  for (int64_t i = 0; i < n; ++i) os << f.text(values[i]) << '\n';
}

void print_matrix(std::ostream& os, const double* values, int64_t rows, int64_t columns,
                  int64_t linesize, int64_t indent) {
  const Format f = choose_format(values, rows * columns);
  const std::string margin(static_cast<size_t>(indent), ' ');
  const int64_t per_line = std::max<int64_t>((linesize - indent) / (f.width + 1), 1);
  for (int64_t first = 0; first < columns; first += per_line) {
    const int64_t last = std::min(first + per_line, columns);
    if (per_line < columns)
      os << (first > 0 ? "\n" : "") << "Columns " << first + 1 << " to " << last << margin;
    if (f.scale != 1) os << shortest(f.scale) << " *\n" << margin;
    for (int64_t r = 0; r < rows; ++r) {
      if (r > 0) os << margin << (f.scale != 1 ? " " : "");
      for (int64_t c = first; c < last; ++c)
        os << f.text(values[r * columns + c]) << (c + 1 < last ? " " : "\n");
    }
  }
}

// Matrix by matrix; the first dimension counts fastest.
void print_matrices(std::ostream& os, const Tensor& x, int64_t linesize) {
  const IntArrayRef sizes = x.sizes(), strides = x.strides();
  const size_t outer = sizes.size() - 2;
  DimVector counter(outer, 0);
  for (bool first = true;; first = false) {
    os << (first ? "(" : "\n(");
    const double* matrix = x.data_ptr<double>();
    for (size_t d = 0; d < outer; ++d) {
      os << counter[d] + 1 << ',';
      matrix += counter[d] * strides[d];
    }
    os << ".,.) = \n";
    print_matrix(os, matrix, sizes[outer], sizes[outer + 1], linesize, 1);
    size_t d = 0;
    while (d < outer && ++counter[d] == sizes[d]) counter[d++] = 0;
    if (d == outer) return;
  }
}

}  // namespace

std::ostream& print(std::ostream& os, const Tensor& x, int64_t linesize) {
  if (!x.defined()) return os << "[ Tensor (undefined) ]";
  const NoGradGuard guard;
  const Tensor values = x.to(kCPU, kDouble).contiguous();
  if (values.dim() == 0) os << shortest(values.item<double>()) << '\n';
  if (values.dim() > 0 && values.numel() > 0) {
    const double* data = values.data_ptr<double>();
    if (values.dim() == 1) print_vector(os, data, values.numel());
    if (values.dim() == 2) print_matrix(os, data, values.size(0), values.size(1), linesize, 0);
    if (values.dim() > 2) print_matrices(os, values, linesize);
  }
  os << "[ " << x.toString() << '{';
  for (int64_t d = 0; d < x.dim(); ++d) os << (d > 0 ? "," : "") << x.size(d);
  return os << "} ]";
}

std::ostream& operator<<(std::ostream& os, const Tensor& x) { return print(os, x, 80); }

void print(const Tensor& x) { std::cout << x << '\n'; }

}  // namespace tarn
