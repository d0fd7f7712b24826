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
	int64_t pts;
} eye_picture;

enum { EYE_NONE = 1, EYE_ERROR = -1, EYE_FORMAT = -2, EYE_NO_MEMORY = -3 };
enum { EYE_H264 = 1, EYE_H265 = 2 };

// eye_open returns NULL when there is no decoder or no memory. config is the avcC or hvcC record. fast leaves out the loop
// filter: good enough to look for movement.
eye_decoder *eye_open(int codec, const uint8_t *config, int n, int fast, int64_t max_pixels);
// eye_key decodes one keyframe by itself; 0 or one of the codes above. What was decoded before is forgotten.
int eye_key(eye_decoder *d, const uint8_t *unit, int n, eye_picture *out);
// eye_send gives the next picture to the decoder; eye_receive takes those that are ready, until EYE_NONE.
int eye_send(eye_decoder *d, const uint8_t *unit, int n, int key, int64_t pts);
int eye_receive(eye_decoder *d, eye_picture *out);
// eye_strict has every error told (1), as after eye_open with fast, or as much shown as can be (0).
void eye_strict(eye_decoder *d, int strict);
// eye_flush forgets what was decoded.
void eye_flush(eye_decoder *d);
// eye_grid shrinks the brightness to w x h squares of side x side pixels, in sixteenths. What is left over at the right and
// at the bottom is left out.
void eye_grid(const eye_picture *p, uint16_t *grid, int w, int h, int side);
// eye_sharpness is how much of what changes within eight pixels changes within two: about 0.25 where edges are sharp.
double eye_sharpness(const eye_picture *p);
void eye_close(eye_decoder *d);

#endif
