/* Counts the instructions of an emulated program: a plugin of qemu-user 7.2 or later.

   qemu-aarch64 -plugin count_instructions.so,out=FILE PROGRAM writes the number into FILE at the
   program's end. What is used of qemu's interface (version 1) is declared here: Debian packages no
   header of it. Threads that count at the same time may lose a few. */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

typedef uint64_t plugin_id;
struct qemu_plugin_tb;
enum { ADD_U64 = 0 };

extern void qemu_plugin_register_vcpu_tb_trans_cb(
    plugin_id, void (*)(plugin_id, struct qemu_plugin_tb *));
extern void qemu_plugin_register_vcpu_tb_exec_inline(
    struct qemu_plugin_tb *, int operation, void *counter, uint64_t value);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
extern void qemu_plugin_register_atexit_cb(plugin_id, void (*)(plugin_id, void *), void *);

#define EXPORTED __attribute__((visibility("default")))

EXPORTED int qemu_plugin_version = 1;

static uint64_t count;
static char file_name[4096];

static void translated(plugin_id id, struct qemu_plugin_tb *block) {
    (void)id;
    const uint64_t instructions = qemu_plugin_tb_n_insns(block);
    qemu_plugin_register_vcpu_tb_exec_inline(block, ADD_U64, &count, instructions);
}

static void ended(plugin_id id, void *unused) {
    (void)id, (void)unused;
    FILE *file = fopen(file_name, "w");
    if (file == NULL) {
        perror(file_name);
        return;
    }
    fprintf(file, "%" PRIu64 "\n", count);
    fclose(file);
}

EXPORTED int qemu_plugin_install(plugin_id id, const void *machine, int argc, char **argv) {
    (void)machine;
    if (argc != 1 || strncmp(argv[0], "out=", 4) != 0) {
        fputs("count_instructions.so needs out=FILE\n", stderr);
        return -1;
    }
    snprintf(file_name, sizeof file_name, "%s", argv[0] + 4);
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_atexit_cb(id, ended, NULL);
    return 0;
}
