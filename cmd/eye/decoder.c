#include "decoder.h"

#include <libavcodec/avcodec.h>
#include <libavutil/frame.h>
#include <libavutil/log.h>
#include <libavutil/mem.h>
#include <libavutil/pixdesc.h>
#include <string.h>

struct eye_decoder {
	AVCodecContext *ctx;
	AVPacket *packet;
	AVFrame *frame;
	uint8_t *narrow; // planes of a picture that has more than eight bits
	unsigned narrow_bytes;
};

eye_decoder *eye_open(int codec_id, const uint8_t *config, int n, int fast, int64_t max_pixels)
{
	av_log_set_level(AV_LOG_QUIET); // a bad picture is no news, and there may be many
	const AVCodec *codec = avcodec_find_decoder(codec_id == EYE_H265 ? AV_CODEC_ID_HEVC : AV_CODEC_ID_H264);
	if (!codec)
		return NULL;
	eye_decoder *d = av_mallocz(sizeof *d);
	if (!d)
		return NULL;
	d->ctx = avcodec_alloc_context3(codec);
	d->packet = av_packet_alloc();
	d->frame = av_frame_alloc();
	if (!d->ctx || !d->packet || !d->frame)
		goto fail;
	d->ctx->extradata = av_mallocz(n + AV_INPUT_BUFFER_PADDING_SIZE);
	if (!d->ctx->extradata)
		goto fail;
	memcpy(d->ctx->extradata, config, n);
	d->ctx->extradata_size = n;
	d->ctx->thread_count = 1; // one thread costs 12 MB per camera, and there are as many cameras as threads anyway
	d->ctx->max_pixels = max_pixels;
	if (fast) {
		d->ctx->skip_loop_filter = AVDISCARD_ALL;
		eye_strict(d, 1);
	}
	if (avcodec_open2(d->ctx, codec, NULL) < 0)
		goto fail;
	return d;
fail:
	eye_close(d);
	return NULL;
}

// narrow makes eight bits of more (HEVC Main 10, H.264 High 10): the upper ones, in planes of the decoder's own.
static int narrow(eye_decoder *d, int depth, int planes, eye_picture *out)
{
	int w[3] = {out->width}, h[3] = {out->height};
	size_t bytes = (size_t)w[0] * h[0];
	for (int i = 1; i < planes; i++) {
		w[i] = AV_CEIL_RSHIFT(out->width, out->chroma_w);
		h[i] = AV_CEIL_RSHIFT(out->height, out->chroma_h);
		bytes += (size_t)w[i] * h[i];
	}
	av_fast_malloc(&d->narrow, &d->narrow_bytes, bytes); // at most three times max_pixels
	if (!d->narrow)
		return EYE_NO_MEMORY;
	uint8_t *to = d->narrow;
	for (int i = 0; i < planes; i++) {
		const uint8_t *from = out->plane[i];
		out->plane[i] = to;
		for (int y = 0; y < h[i]; y++, from += out->stride[i], to += w[i])
			for (int x = 0; x < w[i]; x++)
				to[x] = ((const uint16_t *)from)[x] >> (depth - 8);
		out->stride[i] = w[i];
	}
	return 0;
}

static int describe(eye_decoder *d, eye_picture *out)
{
	const AVFrame *f = d->frame;
	const AVPixFmtDescriptor *desc = av_pix_fmt_desc_get(f->format);
	// Planes of their own, of eight bits or of more in two bytes: what cameras send. Anything else is said to be unknown rather than misread.
	if (!desc || (desc->flags & (AV_PIX_FMT_FLAG_RGB | AV_PIX_FMT_FLAG_HWACCEL | AV_PIX_FMT_FLAG_PAL | AV_PIX_FMT_FLAG_BE)))
		return EYE_FORMAT;
	int depth = desc->comp[0].depth, step = depth > 8 ? 2 : 1;
	if (depth < 8 || depth > 16 || desc->comp[0].step != step || desc->comp[0].shift != 0)
		return EYE_FORMAT;
	memset(out, 0, sizeof *out);
	out->width = f->width;
	out->height = f->height;
	out->chroma_w = out->chroma_h = -1;
	int planes = 1;
	if (desc->nb_components >= 3) {
		if (desc->comp[1].plane != 1 || desc->comp[2].plane != 2 || desc->comp[1].step != step || desc->comp[2].step != step)
			return EYE_FORMAT;
		planes = 3;
		out->chroma_w = desc->log2_chroma_w;
		out->chroma_h = desc->log2_chroma_h;
	}
	for (int i = 0; i < planes; i++) {
		if (!f->data[i] || f->linesize[i] <= 0)
			return EYE_FORMAT;
		out->plane[i] = f->data[i];
		out->stride[i] = f->linesize[i];
	}
	out->full_range = f->color_range == AVCOL_RANGE_JPEG || f->format == AV_PIX_FMT_YUVJ420P || f->format == AV_PIX_FMT_YUVJ422P || f->format == AV_PIX_FMT_YUVJ444P;
	out->pts = f->pts;
	out->damaged = f->decode_error_flags != 0 || (f->flags & AV_FRAME_FLAG_CORRUPT);
	return depth > 8 ? narrow(d, depth, planes, out) : 0;
}

// supplementary says whether a NAL unit is SEI: it may be odd, and says nothing of the picture.
static int supplementary(const eye_decoder *d, uint8_t head)
{
	if (d->ctx->codec_id == AV_CODEC_ID_HEVC)
		return (head >> 1 & 63) == 39 || (head >> 1 & 63) == 40;
	return (head & 31) == 6;
}

int eye_send(eye_decoder *d, const uint8_t *unit, int n, int key, int64_t pts)
{
	if (av_new_packet(d->packet, n) < 0)
		return EYE_NO_MEMORY;
	int size = 0;
	for (int at = 0; at + 5 <= n;) { // each behind its length in four bytes
		int64_t len = 4 + ((int64_t)unit[at] << 24 | unit[at + 1] << 16 | unit[at + 2] << 8 | unit[at + 3]);
		if (len > n - at)
			len = n - at; // the decoder will say so
		if (!supplementary(d, unit[at + 4])) {
			memcpy(d->packet->data + size, unit + at, len);
			size += len;
		}
		at += len;
	}
	av_shrink_packet(d->packet, size);
	d->packet->pts = pts;
	if (key)
		d->packet->flags |= AV_PKT_FLAG_KEY;
	int err = size ? avcodec_send_packet(d->ctx, d->packet) : AVERROR_INVALIDDATA;
	av_packet_unref(d->packet);
	return err < 0 ? EYE_ERROR : 0;
}

void eye_strict(eye_decoder *d, int strict) { d->ctx->err_recognition = strict ? AV_EF_EXPLODE : 0; }

int eye_receive(eye_decoder *d, eye_picture *out)
{
	av_frame_unref(d->frame);
	int err = avcodec_receive_frame(d->ctx, d->frame);
	if (err == AVERROR(EAGAIN) || err == AVERROR_EOF)
		return EYE_NONE;
	return err < 0 ? EYE_ERROR : describe(d, out);
}

void eye_flush(eye_decoder *d) { avcodec_flush_buffers(d->ctx); }

int eye_key(eye_decoder *d, const uint8_t *unit, int n, eye_picture *out)
{
	avcodec_flush_buffers(d->ctx);
	int err = eye_send(d, unit, n, 1, 0);
	if (err == 0) {
		// The decoder would wait for pictures that are to be shown earlier; before a keyframe there are none.
		avcodec_send_packet(d->ctx, NULL);
		err = eye_receive(d, out);
	}
	avcodec_flush_buffers(d->ctx);
	return err == EYE_NONE ? EYE_ERROR : err;
}

// The sums of columns first: that loop has no steps of its own, and compilers make wide additions of it.
void eye_grid(const eye_picture *p, uint16_t *grid, int w, int h, int side)
{
	enum { STRIP = 512 }; // columns at a time; side is at most 64, so that a sum has room
	uint16_t sum[STRIP];
	uint32_t area = side * side;
	int per = STRIP / side;
	for (int gy = 0; gy < h; gy++)
		for (int gx = 0; gx < w; gx += per) {
			int cells = w - gx < per ? w - gx : per, n = cells * side;
			const uint8_t *row = p->plane[0] + (int64_t)gy * side * p->stride[0] + gx * side;
			memset(sum, 0, n * sizeof *sum);
			for (int y = 0; y < side; y++, row += p->stride[0])
				for (int x = 0; x < n; x++)
					sum[x] += row[x];
			for (int c = 0; c < cells; c++) {
				uint32_t s = 0;
				for (int x = c * side; x < (c + 1) * side; x++)
					s += sum[x];
				grid[gy * w + gx + c] = (s * 16 + area / 2) / area;
			}
		}
}

double eye_sharpness(const eye_picture *p)
{
	uint64_t fine = 0, coarse = 0;
	for (int y = 0; y + 1 < p->height; y += 4) {
		const uint8_t *a = p->plane[0] + (int64_t)y * p->stride[0], *b = a + p->stride[0];
		uint32_t f = 0, c = 0; // 4096 times 255 squared is 2^28
		for (int x = 0; x + 9 < p->width; x += 2) {
			int v = a[x] + a[x + 1] + b[x] + b[x + 1];
			int near = (a[x + 2] + a[x + 3] + b[x + 2] + b[x + 3] - v) / 4, far = (a[x + 8] + a[x + 9] + b[x + 8] + b[x + 9] - v) / 4;
			f += near * near;
			c += far * far;
		}
		fine += f;
		coarse += c;
	}
	return coarse ? (double)fine / coarse : 0;
}

void eye_close(eye_decoder *d)
{
	if (!d)
		return;
	av_frame_free(&d->frame);
	av_packet_free(&d->packet);
	avcodec_free_context(&d->ctx); // extradata too
	av_free(d->narrow);
	av_free(d);
}
