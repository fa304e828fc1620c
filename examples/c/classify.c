/* Classifies a picture with libedgevit.
 *
 *   classify MODEL.native PICTURE.ppm [CLASSES.txt]
 * The picture is a binary PPM (convert photo.jpg photo.ppm). CLASSES.txt has a name a line.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edgevit.h"

static void fail(const char* reason) {
  fprintf(stderr, "classify: %s\n", reason);
  exit(2);
}

static unsigned char* read_ppm(const char* path, unsigned* width, unsigned* height) {
  FILE* file = fopen(path, "rb");
  if (!file || fscanf(file, "P6 %u %u 255", width, height) != 2) fail("the picture is no binary PPM");
  if (*width < 1 || *height < 1 || *width > 16384 || *height > 16384) fail("the picture has no usable size");
  fgetc(file);
  size_t bytes = (size_t)*width * *height * 3;
  unsigned char* pixels = malloc(bytes);
  if (!pixels || fread(pixels, 1, bytes, file) != bytes) fail("the picture is cut off");
  fclose(file);
  return pixels;
}

/* The mean of the source's pixels for every pixel of the result; both sides are squashed. */
static void shrink(const unsigned char* from, unsigned width, unsigned height, unsigned char* to,
                   unsigned to_width, unsigned to_height) {
  for (unsigned y = 0; y < to_height; ++y)
    for (unsigned x = 0; x < to_width; ++x) {
      unsigned top = y * height / to_height, bottom = (y + 1) * height / to_height;
      unsigned left = x * width / to_width, right = (x + 1) * width / to_width;
      if (bottom == top) ++bottom;
      if (right == left) ++right;
      for (int c = 0; c < 3; ++c) {
        unsigned long sum = 0, count = (unsigned long)(bottom - top) * (right - left);
        for (unsigned v = top; v < bottom; ++v)
          for (unsigned u = left; u < right; ++u) sum += from[((size_t)v * width + u) * 3 + c];
        *to++ = (unsigned char)((sum + count / 2) / count);
      }
    }
}

int main(int count, char** arguments) {
  if (count < 3) fail("usage: classify MODEL.native PICTURE.ppm [CLASSES.txt]");
  char message[512];
  edgevit_model* model;
  if (edgevit_open(arguments[1], &model, message, sizeof message) != EDGEVIT_OK) fail(message);
  edgevit_context* context;
  if (edgevit_context_create(model, 1, NULL, &context, message, sizeof message) != EDGEVIT_OK) fail(message);
  edgevit_info info;
  edgevit_describe(model, &info);

  unsigned width, height;
  unsigned char* pixels = read_ppm(arguments[2], &width, &height);
  unsigned char* picture = malloc((size_t)info.width * info.height * 3);
  float* logits = malloc(info.classes * sizeof *logits);
  if (!picture || !logits) fail("no memory");
  shrink(pixels, width, height, picture, info.width, info.height);
  if (edgevit_run(context, picture, 0, logits, NULL) != EDGEVIT_OK) fail("the picture was refused");

  unsigned best = 0;
  for (unsigned i = 1; i < info.classes; ++i)
    if (logits[i] > logits[best]) best = i;
  char name[256] = "";
  FILE* names = count > 3 ? fopen(arguments[3], "r") : NULL;
  for (unsigned i = 0; names && i <= best; ++i)
    if (!fgets(name, sizeof name, names)) fail("the file of classes is too short");
  name[strcspn(name, "\r\n")] = 0;
  printf("class %u %s, logit %.3f (%s)\n", best, name, logits[best], edgevit_context_isa(context));

  edgevit_context_free(context);
  edgevit_close(model);
  free(pixels), free(picture), free(logits);
}
