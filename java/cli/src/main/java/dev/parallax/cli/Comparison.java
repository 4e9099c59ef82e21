package dev.parallax.cli;

import dev.parallax.ElementType;
import dev.parallax.Tensor;
import dev.parallax.Value;
import java.util.Arrays;
import java.util.Map;

/**
 * How far one output of Parallax is from the same output of the reference.
 *
 * <p>The absolute difference is |ours - theirs|, the relative one that over the larger of |ours| and |theirs|, so that
 * it is at most 2 and never a division by zero. Equal infinities differ by 0; an infinity or a NaN beside anything else
 * differs by infinity. Two NaNs count as no difference, whatever their bits; their bits count for bit-equality alone,
 * as does the sign of a zero. Strings are equal or differ by infinity. Of a sequence or map all tensors count, each
 * beside the one in its place.
 *
 * <p>Lifetime: a value. Threads: any. Example: {@code Comparison.of("logits", ours, theirs, 1e-3, 1e-5).close()}.
 *
 * @param name of the output
 * @param ours type and shape as Parallax gave it
 * @param theirs the same of the reference
 * @param maxAbsolute largest absolute difference; infinite if type or shape differ
 * @param maxRelative largest relative difference; infinite if type or shape differ
 * @param at where the largest absolute difference is, or null if there is none
 * @param bitEqual same type, shape and bits
 * @param outside how many numbers are further off than the tolerance asked about
 * @param numbers how many numbers were compared; two per complex element
 */
record Comparison(String name, String ours, String theirs, double maxAbsolute, double maxRelative, long[] at,
        boolean bitEqual, long outside, long numbers) {

    /**
     * Compares; a number is outside the tolerance if |ours - theirs| > atol + rtol * |theirs|, as in numpy.allclose.
     */
    static Comparison of(String name, Tensor ours, Tensor theirs, double rtol, double atol) {
        ElementType type = ours.elementType();
        if (type != theirs.elementType() || !Arrays.equals(ours.shape(), theirs.shape())) {
            return unlike(name, ours, theirs);
        }
        boolean strings = type == ElementType.STRING;
        boolean bitEqual = strings ? ours.strings().equals(theirs.strings())
                : ours.segment().mismatch(theirs.segment()) < 0;
        if (bitEqual) {
            return new Comparison(name, ours.toString(), theirs.toString(), 0, 0, null, true, 0, ours.elementCount());
        }
        double[] a = strings ? new double[0] : ours.toDoubleArray();
        double[] b = strings ? a : theirs.toDoubleArray();
        // 64-bit integers are subtracted as integers: as doubles, neighbours beyond 2^53 would look equal.
        boolean wide = type == ElementType.INT64 || type == ElementType.UINT64;
        long[] wideA = wide ? ours.toLongArray() : null;
        long[] wideB = wide ? theirs.toLongArray() : null;
        double maxAbsolute = 0;
        double maxRelative = 0;
        int worst = -1;
        long outside = 0;
        int numbers = strings ? ours.strings().size() : a.length;
        for (int i = 0; i < numbers; i++) {
            double absolute;
            if (strings) {
                absolute = ours.strings().get(i).equals(theirs.strings().get(i)) ? 0 : Double.POSITIVE_INFINITY;
            } else if (wide) {
                absolute = wideA[i] == wideB[i] ? 0 : Math.max(1, Math.abs(a[i] - b[i]));
            } else {
                absolute = difference(a[i], b[i]);
            }
            if (absolute == 0) {
                continue;
            }
            boolean infinite = Double.isInfinite(absolute);
            outside += infinite || absolute > atol + rtol * Math.abs(b[i]) ? 1 : 0;
            maxRelative = Math.max(maxRelative, infinite ? absolute
                    : absolute / Math.max(Math.abs(a[i]), Math.abs(b[i])));
            if (absolute > maxAbsolute) {
                maxAbsolute = absolute;
                worst = i;
            }
        }
        long perElement = Math.max(1, numbers / Math.max(1, ours.elementCount()));
        return new Comparison(name, ours.toString(), theirs.toString(), maxAbsolute, maxRelative,
                worst < 0 ? null : index(worst / perElement, ours.shape()), false, outside, numbers);
    }

    /** The same for values of any kind. */
    static Comparison of(String name, Value ours, Value theirs, double rtol, double atol) {
        if (ours instanceof Tensor a && theirs instanceof Tensor b) {
            return of(name, a, b, rtol, atol);
        }
        if (!ours.toString().equals(theirs.toString())) {
            return unlike(name, ours, theirs);
        }
        Map<String, Tensor> others = Values.tensors(name, theirs);
        Comparison all = new Comparison(name, ours.toString(), theirs.toString(), 0, 0, null, true, 0, 0);
        for (Map.Entry<String, Tensor> part : Values.tensors(name, ours).entrySet()) {
            Comparison c = of(part.getKey(), part.getValue(), others.get(part.getKey()), rtol, atol);
            all = new Comparison(name, all.ours, all.theirs, Math.max(all.maxAbsolute, c.maxAbsolute),
                    Math.max(all.maxRelative, c.maxRelative), null, all.bitEqual && c.bitEqual,
                    all.outside + c.outside, all.numbers + c.numbers);
        }
        return all;
    }

    /** Types or shapes differ, so nothing can be subtracted. */
    private static Comparison unlike(String name, Value ours, Value theirs) {
        double inf = Double.POSITIVE_INFINITY;
        return new Comparison(name, ours.toString(), theirs.toString(), inf, inf, null, false, 1, 0);
    }

    /** Whether all is within the tolerance that was asked about. */
    boolean close() {
        return outside == 0;
    }

    /** Whether type and shape are the same. */
    boolean sameShape() {
        return ours.equals(theirs);
    }

    /** Of two comparisons of the same output, the one that is further off. */
    Comparison worse(Comparison other) {
        boolean otherIsWorse = bitEqual != other.bitEqual ? bitEqual
                : outside != other.outside ? outside < other.outside : maxAbsolute < other.maxAbsolute;
        return otherIsWorse ? other : this;
    }

    private static double difference(double a, double b) {
        if (a == b || Double.isNaN(a) && Double.isNaN(b)) {
            return 0;
        }
        double difference = Math.abs(a - b);
        return Double.isNaN(difference) ? Double.POSITIVE_INFINITY : difference;
    }

    private static long[] index(long element, long[] shape) {
        long[] index = new long[shape.length];
        for (int axis = shape.length - 1; axis >= 0; axis--) {
            index[axis] = element % shape[axis];
            element /= shape[axis];
        }
        return index;
    }
}
