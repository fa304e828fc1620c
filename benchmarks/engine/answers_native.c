/* Answers one picture several times with libedgevit, on one thread.
 *
 *   answers_native MODEL.native PICTURE.rgb ANSWERS
 * Prints the class, its logit and the instruction set of the kernels.
 */
#include "answers.h"
#include "edgevit.h"

int main(int count, char** arguments) {
  if (count != 4) fail("usage: answers_native MODEL.native PICTURE.rgb ANSWERS");
  char message[512];
  edgevit_model* model;
  edgevit_context* context;
  edgevit_info info;
  if (edgevit_open(arguments[1], &model, message, sizeof message) != EDGEVIT_OK) fail(message);
  if (edgevit_context_create(model, 1, NULL, &context, message, sizeof message) != EDGEVIT_OK) fail(message);
  edgevit_describe(model, &info);
  unsigned char* pixels = read_pixels(arguments[2], (size_t)info.height * info.width * 3);
  float* logits = calloc(info.classes, sizeof *logits);
  if (!logits) fail("no memory");
  for (int answers = atoi(arguments[3]); answers > 0; --answers)
    if (edgevit_run(context, pixels, 0, logits, NULL) != EDGEVIT_OK) fail("the picture was refused");
  print_best(logits, info.classes, edgevit_context_isa(context));
  edgevit_context_free(context);
  edgevit_close(model);
  free(pixels), free(logits);
}
