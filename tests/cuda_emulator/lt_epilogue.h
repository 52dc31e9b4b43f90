#pragma once
// What cuBLASLt does with a product before it is stored.
#include <vector>

#include "tarn/tests/cuda_emulator/lt_problem.h"

namespace cuda_emulator::lt {

std::size_t element_bytes(std::uint32_t type);
double load(const void* memory, std::uint64_t index, std::uint32_t type);
void store(void* memory, std::uint64_t index, std::uint32_t type, double value);

/// Finishes batch number `batch`: `product` is alpha op(A) op(B) + beta C, packed column by column;
/// `a` and `b` are op(A) and op(B), packed alike.
void finish(const Problem& p, std::uint64_t batch, std::vector<double>& product,
            const std::vector<double>& a, const std::vector<double>& b, void* d);

}  // namespace cuda_emulator::lt
