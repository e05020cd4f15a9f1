// Counts the blocks of code that run. The compiler puts a call of
// __sanitizer_cov_trace_pc_guard at the beginning of each (scripts/counting-rustc).
//
// The number stands in the file that SLUICE_BLOCKS names, as eight bytes: the tests
// read it there, since a call from Rust to here would not be safe code.
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static uint64_t unread;
static uint64_t *blocks = &unread;

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("SLUICE_BLOCKS");
  if (!path) return;
  int file = open(path, O_RDWR | O_CREAT, 0600);
  if (file < 0 || ftruncate(file, sizeof *blocks)) abort();
  void *shared = mmap(0, sizeof *blocks, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (shared == MAP_FAILED) abort();
  close(file);
  blocks = shared;
}

// Weak, since the engine of the fuzzing brings its own.
#define WEAK __attribute__((weak))

WEAK void __sanitizer_cov_trace_pc_guard(uint32_t *guard) {
  (void)guard;
  ++*blocks;
}

WEAK void __sanitizer_cov_trace_pc_guard_init(uint32_t *begin, uint32_t *end) {
  (void)begin;
  (void)end;
}

// What the fuzzing needs in the same build, and nobody else.
WEAK void __sanitizer_cov_8bit_counters_init(char *begin, char *end) { (void)begin, (void)end; }
WEAK void __sanitizer_cov_pcs_init(const uintptr_t *begin, const uintptr_t *end) { (void)begin, (void)end; }
WEAK void __sanitizer_cov_trace_cmp1(uint8_t a, uint8_t b) { (void)a, (void)b; }
WEAK void __sanitizer_cov_trace_cmp2(uint16_t a, uint16_t b) { (void)a, (void)b; }
WEAK void __sanitizer_cov_trace_cmp4(uint32_t a, uint32_t b) { (void)a, (void)b; }
WEAK void __sanitizer_cov_trace_cmp8(uint64_t a, uint64_t b) { (void)a, (void)b; }
WEAK void __sanitizer_cov_trace_const_cmp1(uint8_t a, uint8_t b) { (void)a, (void)b; }
WEAK void __sanitizer_cov_trace_const_cmp2(uint16_t a, uint16_t b) { (void)a, (void)b; }
WEAK void __sanitizer_cov_trace_const_cmp4(uint32_t a, uint32_t b) { (void)a, (void)b; }
WEAK void __sanitizer_cov_trace_const_cmp8(uint64_t a, uint64_t b) { (void)a, (void)b; }
WEAK void __sanitizer_cov_trace_switch(uint64_t value, uint64_t *cases) { (void)value, (void)cases; }
