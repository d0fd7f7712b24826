// The whole of what the eye needs from libavcodec. Builds on FFmpeg 5.1 and 7.1.
#ifndef SITEWATCH_EYE_DECODER_H
#define SITEWATCH_EYE_DECODER_H

#include <stdint.h>

typedef struct eye_decoder eye_decoder;

// A decoded picture. It is valid until the decoder's next call.
typedef struct {
	const uint8_t *plane[3];
	int stride[3];
	int width, height;
	int chroma_w, chroma_h; // log2 of the subsampling; -1, -1: brightness alone
	int full_range;         // 0: 16..235, as video has it
	int damaged;            // the decoder had to conceal something
} eye_picture;

enum { EYE_ERROR = -1, EYE_FORMAT = -2, EYE_NO_MEMORY = -3 };

// eye_open returns NULL when there is no decoder or no memory. fast leaves out the loop filter: good enough to look for movement.
eye_decoder *eye_open(const uint8_t *avcc, int n, int fast, int64_t max_pixels);
// eye_decode decodes one keyframe by itself; 0 or one of the codes above.
int eye_decode(eye_decoder *d, const uint8_t *unit, int n, eye_picture *out);
// eye_luma shrinks the brightness to w x h by averaging areas.
void eye_luma(const eye_picture *p, uint8_t *grid, int w, int h);
void eye_close(eye_decoder *d);

#endif
