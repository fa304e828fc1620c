/* A plugin for QEMU 6.1 and later, of which only user-mode emulation is meant: counts the instructions
 * that a program executes, all of its threads together, and writes their number into a file.
 *
 *   qemu-aarch64 -plugin file=count_instructions.so,out=FILE PROGRAM
 *
 * QEMU asks for every block of instructions once, when it translates it, and calls back each time
 * the block begins. A block that a signal interrupts is counted whole; systems' calls end one.
 *
 * The declarations below are the few of QEMU's plugin interface that are needed: with them it is
 * built without QEMU's sources, and for a release older than 9.0 too (PLUGIN_INTERFACE=1).
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#ifndef PLUGIN_INTERFACE
#define PLUGIN_INTERFACE 2
#endif

typedef struct qemu_plugin_tb block;

extern size_t qemu_plugin_tb_n_insns(const block*);
extern void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t plugin, void (*translated)(uint64_t, block*));
extern void qemu_plugin_register_vcpu_tb_exec_cb(block*, void (*begins)(unsigned, void*), int registers,
                                                 void* argument);
extern void qemu_plugin_register_atexit_cb(uint64_t plugin, void (*ends)(uint64_t, void*), void* argument);

#define EXPORTED __attribute__((visibility("default")))
EXPORTED int qemu_plugin_version = PLUGIN_INTERFACE;

static uint64_t executed;
static char target[4096];

static void block_begins(unsigned processor, void* instructions) {
  (void)processor;
  __atomic_fetch_add(&executed, (uint64_t)(uintptr_t)instructions, __ATOMIC_RELAXED);
}

static void block_translated(uint64_t plugin, block* translated) {
  (void)plugin;
  const int without_registers = 0;
  void* instructions = (void*)(uintptr_t)qemu_plugin_tb_n_insns(translated);
  qemu_plugin_register_vcpu_tb_exec_cb(translated, block_begins, without_registers, instructions);
}

static void program_ends(uint64_t plugin, void* argument) {
  (void)plugin, (void)argument;
  FILE* file = fopen(target, "w");
  if (!file) return;
  fprintf(file, "%" PRIu64 "\n", executed);
  fclose(file);
}

EXPORTED int qemu_plugin_install(uint64_t plugin, const void* about, int count, char** arguments) {
  (void)about;
  if (count != 1 || strncmp(arguments[0], "out=", 4) || strlen(arguments[0] + 4) >= sizeof target) {
    fprintf(stderr, "count_instructions: the argument is out=FILE\n");
    return 1;
  }
  strcpy(target, arguments[0] + 4);
  qemu_plugin_register_vcpu_tb_trans_cb(plugin, block_translated);
  qemu_plugin_register_atexit_cb(plugin, program_ends, NULL);
  return 0;
}
