/* libedgevit: runs edgevit's native model files on a processor.
 *
 * A model is opened once and may be shared by threads; every thread that asks it has a context of
 * its own. Nothing is allocated after a context is created, and there is no global state.
 *
 * Functions that can fail return a status and write one sentence about the failure into `message`
 * (zero-terminated, cut to `message_bytes`; NULL and 0 where it is not wanted).
 */
#ifndef EDGEVIT_H
#define EDGEVIT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define EDGEVIT_API __attribute__((visibility("default")))
#else
#define EDGEVIT_API
#endif

#define EDGEVIT_ABI_VERSION 1

typedef enum edgevit_status {
  EDGEVIT_OK = 0,
  EDGEVIT_NO_FILE = 1,      /* the file cannot be read */
  EDGEVIT_DAMAGED = 2,      /* it is no model file, or it was changed */
  EDGEVIT_OTHER_VERSION = 3,/* it was written by another version of edgevit */
  EDGEVIT_NO_MEMORY = 4,
  EDGEVIT_BAD_ARGUMENT = 5
} edgevit_status;

typedef struct edgevit_model edgevit_model;
typedef struct edgevit_context edgevit_context;

typedef struct edgevit_info {
  uint32_t height, width;            /* of the picture, in pixels; 3 channels, RGB */
  uint32_t classes;                  /* logits */
  uint32_t map_rows, map_columns;    /* of the superpixel map; 0 where the model has none */
  uint32_t operations;
  uint64_t arena_bytes;              /* memory of a context for activations */
} edgevit_info;

/* The version of this interface; a program compares it with EDGEVIT_ABI_VERSION. */
EDGEVIT_API uint32_t edgevit_abi_version(void);

/* Opens a file by mapping it. The file must not be changed while the model is open. */
EDGEVIT_API edgevit_status edgevit_open(const char* path, edgevit_model** model, char* message,
                                        size_t message_bytes);

/* Opens a model that is in memory. The bytes are copied. */
EDGEVIT_API edgevit_status edgevit_open_memory(const void* bytes, size_t size,
                                               edgevit_model** model, char* message,
                                               size_t message_bytes);

/* Frees a model, after all of its contexts. NULL is allowed. */
EDGEVIT_API void edgevit_close(edgevit_model* model);

EDGEVIT_API void edgevit_describe(const edgevit_model* model, edgevit_info* info);

/* Name of an operation ("tokens.stem.trunk.blocks.0") and its kind ("conv"); NULL past the end. */
EDGEVIT_API const char* edgevit_operation_name(const edgevit_model* model, uint32_t operation);
EDGEVIT_API const char* edgevit_operation_kind(const edgevit_model* model, uint32_t operation);

/* Names of the instruction sets that this library was built with, the fastest first; NULL past the
 * end. The last one, "portable", runs everywhere. */
EDGEVIT_API const char* edgevit_isa_name(uint32_t place);
/* Whether this processor has that instruction set. */
EDGEVIT_API int edgevit_isa_usable(uint32_t place);

/* Creates a context.
 *   threads: of an inference, 1 to 16; the calling thread is one of them.
 *   isa: a name from edgevit_isa_name, or NULL for the fastest that this processor has. */
EDGEVIT_API edgevit_status edgevit_context_create(const edgevit_model* model, uint32_t threads,
                                                  const char* isa, edgevit_context** context,
                                                  char* message, size_t message_bytes);

EDGEVIT_API void edgevit_context_free(edgevit_context* context);

/* The instruction set that a context uses. */
EDGEVIT_API const char* edgevit_context_isa(const edgevit_context* context);

/* Answers one picture.
 *   rgb: uint8 [height, width, 3]. row_bytes: from row to row; 0 for width * 3.
 *   logits: float [classes].
 *   superpixels: int32 [map_rows, map_columns], the superpixel of every cell, or NULL. */
EDGEVIT_API edgevit_status edgevit_run(edgevit_context* context, const uint8_t* rgb,
                                       size_t row_bytes, float* logits, int32_t* superpixels);

/* The same, and how long every operation took: uint64 [operations], in nanoseconds. */
EDGEVIT_API edgevit_status edgevit_run_profiled(edgevit_context* context, const uint8_t* rgb,
                                                size_t row_bytes, float* logits,
                                                int32_t* superpixels, uint64_t* nanoseconds);

#ifdef __cplusplus
}
#endif
#endif
