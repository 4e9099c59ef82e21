package dev.parallax;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * What lies where in a session's block of memory, and when: the tensors between units, and what each unit takes while it
 * runs. Buffers that are never in use together share bytes. Bytes belong to the unit that writes them, as long as anything
 * reads them: what a Concat joins without copying is in use as long as the joined tensor, which has no buffer of its own.
 *
 * <p>Time is counted in units: what stands at place i of {@link #order()} runs at time i.
 *
 * <p><b>Lifetime</b>: an immutable value; it does not follow later runs. {@link #block()} can be read until the session's
 * next run, its {@link Session#trim()} or {@link Session#close()}; then reading it is an {@link IllegalStateException}.
 *
 * <p><b>Threads</b>: any.
 *
 * <p><b>Example</b>
 * <pre>{@code
 * session.run();
 * session.run();                                  // the layout is made for shapes that come twice
 * Files.writeString(Path.of("memory.svg"), session.memoryMap().toSvg());
 * }</pre>
 *
 * @param plan the plan that ran
 * @param order its units as they start
 * @param buffers those that take room, by offset
 * @param plannedBytes bytes of the block
 * @param oneBufferPerTensorBytes bytes these would take with a buffer each
 * @param lowerBoundBytes no plan can take less
 * @param block the bytes themselves, read-only; empty after a trim
 */
public record MemoryMap(Plan plan, List<Integer> order, List<Buffer> buffers, long plannedBytes,
        long oneBufferPerTensorBytes, long lowerBoundBytes, MemorySegment block) {
    /** Copies the lists. */
    public MemoryMap {
        order = List.copyOf(order);
        buffers = List.copyOf(buffers);
    }

    /** What a buffer is for. */
    public enum Kind {
        /** A tensor that one unit makes and others read. */
        TENSOR,
        /** An output of the model, in use to the end. */
        OUTPUT,
        /** What ONNX Runtime takes while a unit runs. */
        WINDOW
    }

    /**
     * Bytes for one purpose, from one time to another.
     *
     * @param kind what it is for
     * @param name the tensor's name; empty for a window
     * @param unit the unit that makes the tensor, or whose window it is
     * @param first the first time at which its bytes are in use: a place in {@link MemoryMap#order()}
     * @param last the last one
     * @param offset where it lies in the block
     * @param bytes how many bytes it takes
     */
    public record Buffer(Kind kind, String name, int unit, int first, int last, long offset, long bytes) {}

    /**
     * A branch's part of the block: its tensors, and what its units take while they run.
     *
     * @param name for people: {@code branch 3}, or {@code between branches} for units that lie in none
     * @param branch its place in {@link Plan#branches()}, or -1
     * @param buffers its buffers
     * @param capacityBytes what they would take with a buffer each
     * @param highWaterBytes the most that is in use at one time
     * @param estimatedBytes the largest of its units' estimates, {@link Plan.Unit#peakBytes()}
     */
    public record BranchArena(String name, int branch, List<Buffer> buffers, long capacityBytes, long highWaterBytes,
            long estimatedBytes) {
        /** Copies the list. */
        public BranchArena {
            buffers = List.copyOf(buffers);
        }
    }

    /**
     * The bytes of a buffer.
     *
     * @param buffer one of {@link #buffers()}
     * @return what is there now, read-only; other buffers' content if they share its bytes and ran later
     * @throws IllegalStateException if the block is not there any more
     */
    public MemorySegment segment(Buffer buffer) {
        if (block.byteSize() == 0 || !block.scope().isAlive()) {
            throw new IllegalStateException("the session has run, or has given its memory back, since this map was "
                    + "made; ask for another one");
        }
        return block.asSlice(buffer.offset(), buffer.bytes());
    }

    /**
     * What is in use at each time.
     *
     * @return bytes, one for each place in {@link #order()}
     */
    public long[] liveBytes() {
        return liveBytes(buffers, order.size());
    }

    private static long[] liveBytes(List<Buffer> buffers, int times) {
        long[] live = new long[times];
        for (Buffer buffer : buffers) {
            for (int time = buffer.first(); time <= buffer.last(); time++) {
                live[time] += buffer.bytes();
            }
        }
        return live;
    }

    /**
     * The buffers by the branch that makes them.
     *
     * @return one arena for each branch that has any, by branch
     */
    public List<BranchArena> arenas() {
        Map<Integer, List<Buffer>> byBranch = new TreeMap<>();
        for (Buffer buffer : buffers) {
            byBranch.computeIfAbsent(plan.units().get(buffer.unit()).branch(), _ -> new ArrayList<>()).add(buffer);
        }
        Map<Integer, Long> estimates = new TreeMap<>();
        plan.units().forEach(unit -> estimates.merge(unit.branch(), unit.peakBytes(), Math::max));
        return byBranch.entrySet().stream().map(e -> {
            long highWater = 0;
            for (long live : liveBytes(e.getValue(), order.size())) {
                highWater = Math.max(highWater, live);
            }
            return new BranchArena(e.getKey() < 0 ? "between branches" : "branch " + e.getKey(), e.getKey(), e.getValue(),
                    e.getValue().stream().mapToLong(Buffer::bytes).sum(), highWater,
                    estimates.getOrDefault(e.getKey(), 0L));
        }).toList();
    }

    /**
     * A picture: time across, bytes up, one rectangle for each buffer, coloured by branch. Tooltips name each.
     *
     * @return an SVG document
     */
    public String toSvg() {
        return new MemoryPicture(this).draw();
    }
}
