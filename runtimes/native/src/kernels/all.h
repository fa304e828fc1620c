// All kernels of one instruction set. Before it a file includes vector.h and defines what only its
// instruction set knows:
//
//   kRows              rows that are multiplied together
//   kParts             registers that hold the sums of 16 outputs; kPartsAtOnce of them in one pass
//   kInputOffset       what is taken off inputs before they are multiplied: 0, or 128
//   Staged             an input in the form that is multiplied, less kInputOffset
//   Sum, Input, Weight and broadcast(), load_weights(), dot(); store_sums() of some parts
//   mix_four()         four rows of 16 bytes, staged, as 16 columns of four
//   dot_each()         sums of 16 outputs that each have four inputs of their own
//   any_of()           whether a comparison holds for any lane
//   store_bytes(), store_panel()   whole numbers 0..255 as bytes
//   EDGEVIT_BYTE_TILES 1 where bytes are made by byte_tile.h (AVX-512 only)
//   is_usable()        whether this processor has it
#include "functions.h"
#include "output.h"
#include "windows.h"
#include "finish.h"
#include "conv.h"
#include "depthwise.h"
#include "rows.h"
#include "attention.h"
#include "picture.h"
#include "slic.h"
#include "pool.h"

static_assert(sizeof(Staged) <= kStagedBytes, "a block fits into the staging memory");

// PICTURE, DEPTHWISE, SLIC: `picture`, `depthwise` and `slic`, or what does the same faster.
#define EDGEVIT_KERNELS(NAME, PICTURE, DEPTHWISE, SLIC)                                       \
  {NAME,                                                                                      \
   is_usable,                                                                                 \
   {{nullptr, nullptr}, {PICTURE, nullptr}, {conv, nullptr}, {DEPTHWISE, nullptr},            \
    {SLIC, nullptr}, {pool, nullptr}, {layer_norm, nullptr}, {attention_keys, attend},        \
    {binary, nullptr}, {unary, nullptr}, {mean, nullptr}, {scores_keys, scores},              \
    {weighted, nullptr}, {transpose, nullptr}}}
