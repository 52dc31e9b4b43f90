#define CATCH_CONFIG_RUNNER
#include "tarn/tests/support/catch.h"

// For LeakSanitizer: LLVM's OpenMP runtime keeps what it knew of threads that have ended.
extern "C" const char* __lsan_default_suppressions() { return "leak:libomp"; }

int main(int argc, char** argv) { return Catch::Session().run(argc, argv); }
