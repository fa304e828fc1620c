/* A plugin for QEMU's user-mode emulation: counts the instructions that a program executes, those of
 * all its threads together, and writes their number into a file when the program ends.
 *
 *   qemu-aarch64 -plugin file=count_instructions.so,out=FILE PROGRAM
 *
 * QEMU translates a program block by block, asks the plugin about each block once, and calls it back
 * whenever the block begins. A block that a signal interrupts is counted whole.
 *
 * The few declarations of QEMU's plugin interface that are needed stand below, so that the plugin is
 * built without QEMU's headers; releases before 9.0 want PLUGIN_INTERFACE=1.
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
