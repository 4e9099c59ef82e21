package dev.parallax;

import dev.parallax.internal.bindings.Plx;
import dev.parallax.internal.bindings.plx_run_info;
import dev.parallax.internal.bindings.plx_tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.BooleanSupplier;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * A compiled plan with its memory: bind inputs once, then run as often as wanted.
 *
 * <p>A run in steady state, that is with the same input shapes as before, allocates nothing on the Java heap. Inputs
 * may be overwritten between runs without binding them anew.
 *
 * <p><b>Lifetime</b>: until {@link #close()}, which is idempotent and waits for the run in progress. It outlives its
 * {@link Model}. Input tensors handed out by it live until it is closed or that input gets another shape; output
 * tensors until the next run or {@code close}: a later run overwrites them in place or, when the output has moved,
 * closes their memory, and reading them then is an {@link IllegalStateException}. {@link Tensor#copy()} makes one's
 * own.
 *
 * <p><b>Requests</b>: {@link #submit} takes a request, and comes back at once. As many as {@link SessionOptions#depth()} are
 * in progress at a time: while a device works for one of them, the CPU goes on with another.
 *
 * <p><b>Threads</b>: any number; calls take turns, so two threads that run one session run one after the other.
 * What belongs together, such as writing inputs, running and reading outputs, is for the callers to order, or for
 * {@link Model#run}. Only {@link #cancel()} does not wait.
 *
 * <p><b>Stopping</b>: a run ends early, with a {@link RunStoppedException}, by {@link #cancel()}, by a limit given to
 * {@link #run(Duration)}, and when its thread is interrupted, whether it runs or waits for another thread's run. The
 * core stops between operators, also inside the bodies of loops and on the pool's threads; a single operator is not
 * broken off, and a run whose last operator has ended succeeds. Whatever stopped one run does nothing to the next.
 *
 * <p><b>Example</b>
 * <pre>{@code
 * Tensor in = session.input("ids", 1, 16);        // the session's memory; write to it
 * Tensor out = Tensor.allocate(ElementType.FLOAT32, 1, 16, 384);
 * session.bindOutput("embedding", out);           // the caller's memory; no copy
 * for (long[] ids : batches) {
 *     in.copyFrom(ids);
 *     session.run();
 *     use(out);
 * }
 * }</pre>
 */
public final class Session implements AutoCloseable {
    /** The most dimensions a tensor can have here; ONNX models stay far below. */
    private static final int MAX_RANK = 64;

    private final ReentrantLock lock = new ReentrantLock();
    private final Object pointerLock = new Object();  // for stop, which must not wait for a run
    private final ModelInfo model;
    private final Plan plan;
    private Schedule schedule;  // under the lock
    final Steering steering;
    private final ModelMemory memory;  // null for a model from a file
    private final int depth;
    private Requests requests;  // under the lock; null until there is one
    private boolean closing;  // under the lock: no more requests
    private final Input[] inputs;
    private final Output[] outputs;

    private final Arena arena = Arena.ofShared();
    private final MemorySegment runInfo = plx_run_info.allocate(arena);
    private final MemorySegment descriptor = plx_tensor.allocate(arena);
    private final MemorySegment dims = arena.allocate(ValueLayout.JAVA_LONG, MAX_RANK);

    private MemorySegment pointer;  // null when closed; written under both locks
    // Of the run in progress, under the pointer's lock:
    private long run;  // its number
    private boolean running;
    private RunStoppedException.Reason stopped;  // why it is to stop, or null
    private Interruption interruption = new Interruption(this::interrupted);  // under the lock
    private boolean hasOutputs;  // the last run succeeded
    private long generation;  // of the outputs seen last
    private Arena outputArena;  // of views of outputs in the session's memory; null when there are none
    private Arena mapArena;  // of maps' blocks; null when there are none

    /** An input: what is bound, and the memory of ours if it was asked for. */
    private static final class Input {
        final ValueInfo info;
        Value bound;  // what the next run reads
        Tensor own;  // the view handed out last over `buffer`
        Arena arena;  // of `buffer`
        MemorySegment buffer;

        Input(ValueInfo info) {
            this.info = info;
        }
    }

    /** An output: the caller's memory if bound, otherwise a view of the session's, made when asked for. */
    private static final class Output {
        final ValueInfo info;
        Tensor bound;
        Value view;

        Output(ValueInfo info) {
            this.info = info;
        }
    }

    /** Takes over the pointer. */
    Session(MemorySegment pointer, ModelInfo model, Plan plan, Schedule schedule, Steering steering,
            ModelMemory memory, int depth) {
        this.pointer = pointer;
        this.depth = depth;
        this.model = model;
        this.plan = plan;
        this.schedule = schedule;
        this.steering = steering;
        this.memory = memory == null ? null : memory.share();
        this.inputs = model.inputs().stream().map(Input::new).toArray(Input[]::new);
        this.outputs = model.outputs().stream().map(Output::new).toArray(Output[]::new);
        plx_run_info.struct_size(runInfo, plx_run_info.sizeof());
    }

    /**
     * What must be bound, in the file's order.
     *
     * @return the model's inputs; may be asked after {@link #close()}
     */
    public List<ValueInfo> inputs() {
        return model.inputs();
    }

    /**
     * What a run gives, in the file's order.
     *
     * @return the model's outputs; may be asked after {@link #close()}
     */
    public List<ValueInfo> outputs() {
        return model.outputs();
    }

    /**
     * What this session was compiled from.
     *
     * @return the plan; may be asked after {@link #close()}
     */
    public Plan plan() {
        return plan;
    }

    /**
     * The order in which the units run.
     *
     * @return what the policy decided last; may be asked after {@link #close()}
     */
    public Schedule schedule() {
        lock.lock();
        try {
            return schedule;
        } finally {
            lock.unlock();
        }
    }

    // ---- inputs ---------------------------------------------------------------------------------------------------

    /**
     * The tensor bound to an input. If none is bound yet and the model fixes the shape, the session's own memory of
     * that shape is bound, as by {@link #input(String, long...)}.
     *
     * @param name name of an input
     * @return what the next run reads; the same object until another is bound
     * @throws ParallaxException INVALID_ARGUMENT for an unknown name, a shape that the model leaves open, or an input
     *     that is no tensor
     */
    public Tensor input(String name) {
        lock.lock();
        try {
            checkOpen();
            int index = Names.find(model.inputs(), name, "input");
            Input input = inputs[index];
            if (input.bound instanceof Tensor tensor) {
                return tensor;
            }
            if (!input.info.isStatic()) {
                checkOwnable(input.info);
                throw invalid(openShape(input.info));
            }
            return bindOwn(index, input.info.fixedShape());
        } finally {
            lock.unlock();
        }
    }

    /**
     * Memory of the session's for an input, in the given shape: zeros at first, aligned to 64 bytes, and bound until
     * something else is. Asked again for the same shape, it is the same tensor with its content. Another shape takes
     * the place of the former one, whose tensor must not be used any more.
     *
     * @param name name of an input
     * @param shape the sizes, outermost first; none for a scalar
     * @return what the next run reads
     * @throws ParallaxException INVALID_ARGUMENT for an unknown name or a shape that does not fit; strings have to be
     *     bound with {@link #bindInput}
     */
    public Tensor input(String name, long... shape) {
        lock.lock();
        try {
            checkOpen();
            int index = Names.find(model.inputs(), name, "input");
            checkOwnable(inputs[index].info);
            checkShape("input", inputs[index].info, shape);
            return bindOwn(index, shape);
        } finally {
            lock.unlock();
        }
    }

    private Tensor bindOwn(int index, long[] shape) {
        Input input = inputs[index];
        if (input.own != null && Arrays.equals(input.own.sizes(), shape)) {
            if (input.bound != input.own) {
                bind(index, input.own);
            }
            return input.own;
        }
        ElementType type = input.info.elementType();
        long bytes = type.byteSize(Tensor.elementCount(shape));
        if (input.buffer != null && input.buffer.byteSize() >= bytes) {
            Tensor tensor = Tensor.view(type, shape.clone(), input.buffer.asSlice(0, bytes));
            bind(index, tensor);
            tensor.segment().fill((byte) 0);
            input.own = tensor;
            return tensor;
        }
        Arena larger = Arena.ofShared();
        try {
            MemorySegment buffer = larger.allocate(bytes, Tensor.ALIGNMENT);
            Tensor tensor = Tensor.view(type, shape.clone(), buffer);
            bind(index, tensor);
            Arena former = input.arena;
            input.arena = larger;
            input.buffer = buffer;
            input.own = tensor;
            larger = former;
            return tensor;
        } finally {
            if (larger != null) {
                larger.close();  // the former one, or the new one that could not be bound
            }
        }
    }

    /**
     * Binds a value to an input. Of a tensor nothing is copied, and each later run reads what is there then; its memory
     * must stay open while it is bound. Strings and what is no tensor are the exception: they are copied now.
     *
     * @param name name of an input
     * @param value its content, of the input's type and of a shape that fits
     * @throws ParallaxException INVALID_ARGUMENT for an unknown name, another type, or a shape that does not fit;
     *     UNSUPPORTED for an empty sequence of anything but tensors, which ONNX Runtime has no way to be given
     */
    public void bindInput(String name, Value value) {
        lock.lock();
        try {
            checkOpen();
            int index = Names.find(model.inputs(), name, "input");
            ValueInfo info = inputs[index].info;
            if (!(value instanceof Tensor tensor)) {
                try (Arena call = Arena.ofConfined()) {
                    Native.check(Plx.plx_session_bind_input_value(pointer, index, NativeValue.toNative(call, value)));
                }
                inputs[index].bound = value;
                return;
            }
            if (info.kind() != ValueKind.OPTIONAL) {  // inside it may be a tensor, which the core knows
                checkTensor(info, "input");
            }
            checkType("input", info, tensor);
            checkShape("input", info, tensor.sizes());
            checkAlive("input", info, tensor);
            bind(index, tensor);
        } finally {
            lock.unlock();
        }
    }

    private void bind(int index, Tensor tensor) {
        if (tensor.elementType() == ElementType.STRING) {
            try (Arena call = Arena.ofConfined()) {
                NativeValue.Text text = NativeValue.Text.of(call, tensor.strings());
                writeDims(tensor.sizes());
                Native.check(Plx.plx_session_bind_input_strings(pointer, index, dims, tensor.sizes().length,
                        text.bytes(), text.size(), text.offsets()));
            }
        } else {
            Native.check(Plx.plx_session_bind_input(pointer, index, describe(tensor)));
        }
        inputs[index].bound = tensor;
    }

    /** Drops what is bound, so that it can be collected; a run then needs new bindings. Own memory stays. */
    void forgetInputs() {
        lock.lock();
        try {
            for (Input input : inputs) {
                input.bound = null;
            }
        } finally {
            lock.unlock();
        }
    }

    // ---- outputs --------------------------------------------------------------------------------------------------

    /**
     * Has an output written to the caller's memory from the next run on. A run fails with INVALID_ARGUMENT, naming both
     * shapes, if the output's shape turns out different.
     *
     * @param name name of an output
     * @param tensor where to write, of the output's type and of a shape that fits; not strings
     * @throws ParallaxException INVALID_ARGUMENT for an unknown name, another type, a shape that does not fit, or
     *     read-only memory
     */
    public void bindOutput(String name, Tensor tensor) {
        lock.lock();
        try {
            checkOpen();
            int index = Names.find(model.outputs(), name, "output");
            ValueInfo info = outputs[index].info;
            checkTensor(info, "output");
            if (tensor.elementType() == ElementType.STRING) {
                throw invalid("output " + info + " cannot be bound: strings have no memory of fixed size; read them"
                        + " with output(\"" + name + "\").strings()");
            }
            checkType("output", info, tensor);
            checkShape("output", info, tensor.sizes());
            checkAlive("output", info, tensor);
            if (tensor.segment().isReadOnly()) {
                throw invalid("output " + info + " cannot be written to a read-only segment");
            }
            Native.check(Plx.plx_session_bind_output(pointer, index, describe(tensor)));
            dropOutputs();
            outputs[index].bound = tensor;
        } finally {
            lock.unlock();
        }
    }

    /**
     * Gives an output back to the session: from the next run on it lies in the session's memory again.
     *
     * @param name name of an output
     * @throws ParallaxException INVALID_ARGUMENT for an unknown name
     */
    public void unbindOutput(String name) {
        lock.lock();
        try {
            checkOpen();
            int index = Names.find(model.outputs(), name, "output");
            Native.check(Plx.plx_session_bind_output(pointer, index, MemorySegment.NULL));
            dropOutputs();
            outputs[index].bound = null;
        } finally {
            lock.unlock();
        }
    }

    /**
     * An output of the last run: the bound tensor, or a view of the session's memory. Such a view is valid until the
     * next run or {@link #close()}, and the same object for as long as output addresses and shapes stay the same.
     *
     * @param name name of an output
     * @return the content
     * @throws ParallaxException INVALID_ARGUMENT for an unknown name; UNSUPPORTED for an output that is no tensor,
     *     which {@link #outputValue} gives
     * @throws IllegalStateException if nothing has run yet, the last run failed, or an output was bound since
     */
    public Tensor output(String name) {
        if (outputValue(name) instanceof Tensor tensor) {
            return tensor;
        }
        ValueInfo info = outputs[Names.find(model.outputs(), name, "output")].info;
        throw new ParallaxException(ErrorCode.UNSUPPORTED, "output " + info
                + " is no tensor; read it with outputValue(\"" + name + "\")");
    }

    /**
     * An output of the last run, of whatever kind. A tensor is what {@link #output} gives, with its lifetime; anything
     * else is a copy.
     *
     * @param name name of an output
     * @return the content
     * @throws ParallaxException INVALID_ARGUMENT for an unknown name; UNSUPPORTED for a sparse tensor
     * @throws IllegalStateException if nothing has run yet, the last run failed, or an output was bound since
     */
    public Value outputValue(String name) {
        lock.lock();
        try {
            checkOpen();
            int index = Names.find(model.outputs(), name, "output");
            Output output = outputs[index];
            if (!hasOutputs) {
                throw new IllegalStateException("output '" + name + "' has no content: no run() has succeeded since the"
                        + " session was made, a run failed, or an output was bound; call run() first");
            }
            if (output.bound != null) {
                return output.bound;
            }
            if (output.view == null) {
                output.view = fetch(index);
            }
            return output.view;
        } finally {
            lock.unlock();
        }
    }

    @SuppressWarnings("restricted")  // a view of the core's memory, of the size the core states
    private Value fetch(int index) {
        ValueKind kind = outputs[index].info.kind();
        if (kind != ValueKind.TENSOR) {
            Value copy = copyOf(index);
            // An optional with content is a copy all the same: its next run may bring none.
            if (kind != ValueKind.UNKNOWN || !(copy instanceof Tensor)) {
                return copy;
            }
        }
        Native.check(Plx.plx_session_output(pointer, index, descriptor));
        ElementType type = ElementType.ofCode(plx_tensor.element_type(descriptor));
        if (type == ElementType.STRING) {
            return copyOf(index);
        }
        if (outputArena == null) {
            outputArena = Arena.ofShared();
        }
        return Tensor.view(type, NativeValue.shape(descriptor),
                plx_tensor.data(descriptor).reinterpret(plx_tensor.size_bytes(descriptor), outputArena, null));
    }

    private Value copyOf(int index) {
        try (Arena call = Arena.ofConfined()) {
            return NativeValue.fromNative(call,
                    NativeValue.make(call, out -> Plx.plx_session_output_value(pointer, index, out)));
        }
    }

    /** The outputs of the last run are gone or about to be; views of them fail from now on. */
    private void dropOutputs() {
        hasOutputs = false;
        forgetViews();
        forgetMaps();
    }

    private void forgetViews() {
        for (Output output : outputs) {
            output.view = null;
        }
        Arena former = outputArena;
        outputArena = null;
        if (former != null) {
            former.close();
        }
    }

    // ---- running --------------------------------------------------------------------------------------------------

    /**
     * Runs on the calling thread and the pool, and returns when all outputs are there.
     *
     * @throws RunStoppedException if {@link #cancel()} was called, or the thread is interrupted; its interrupt status
     *     is then set
     * @throws ParallaxException INVALID_ARGUMENT if an input is not bound or a bound output has the wrong shape;
     *     RUN_FAILED if an operator fails; MEMORY_BUDGET. The session stays usable
     * @throws IllegalStateException if this session, or memory that is bound to it, is closed
     */
    public void run() {
        runUnless(() -> false);
    }

    /** As {@link #run()}, but cancelled from the start if nobody wants it any more. Asked once {@link #cancel()} is heard. */
    void runUnless(BooleanSupplier unwanted) {
        try {
            lock.lockInterruptibly();
        } catch (InterruptedException e) {
            throw interruptedWhileWaiting();
        }
        try {
            long number = begin();
            if (unwanted.getAsBoolean()) {
                stop(number, RunStoppedException.Reason.CANCELLED);
            }
            runToItsEnd(null);
        } finally {
            lock.unlock();
        }
    }

    /**
     * The same within a time limit, which counts from now: waiting for other threads' runs is included.
     *
     * @param limit how long it may take at most
     * @throws RunStoppedException as {@link #run()}, and when the limit is over
     * @throws ParallaxException as {@link #run()}, and INVALID_ARGUMENT for a limit of nothing or less
     * @throws IllegalStateException if this session, or memory that is bound to it, is closed
     */
    public void run(Duration limit) {
        if (!limit.isPositive()) {
            throw invalid("a time limit of " + text(limit) + "; give a positive one, or call run() without");
        }
        long nanos = TimeUnit.NANOSECONDS.convert(limit);  // centuries count as the most there are
        long start = System.nanoTime();
        try {
            if (!lock.tryLock(nanos, TimeUnit.NANOSECONDS)) {
                throw new RunStoppedException(RunStoppedException.Reason.TIME_LIMIT, "the run did not begin within its"
                        + " limit of " + text(limit) + ": other threads' runs of the session took all of it");
            }
        } catch (InterruptedException e) {
            throw interruptedWhileWaiting();
        }
        try {
            long number = begin();
            CompletableFuture<Void> alarm = new CompletableFuture<>();
            // On the timer thread that the JDK has for all such futures.
            alarm.completeOnTimeout(null, Math.max(0, nanos - (System.nanoTime() - start)), TimeUnit.NANOSECONDS)
                    .thenRun(() -> stop(number, RunStoppedException.Reason.TIME_LIMIT));
            try {
                runToItsEnd(limit);
            } finally {
                alarm.cancel(false);
            }
        } finally {
            lock.unlock();
        }
    }

    private static String text(Duration limit) {
        return limit.compareTo(Duration.ofMillis(1)) < 0 ? limit.toNanos() + " ns" : limit.toMillis() + " ms";
    }

    private static RunStoppedException interruptedWhileWaiting() {
        Thread.currentThread().interrupt();
        return new RunStoppedException(RunStoppedException.Reason.INTERRUPTED,
                "the run did not begin: its thread was interrupted");
    }

    /** A new run begins; from now on it can be stopped. Gives its number. */
    private long begin() {
        checkOpen();
        synchronized (pointerLock) {
            if (running) {
                throw new IllegalStateException("this session asks its policy before a run; that cannot run it");
            }
            running = true;
            stopped = null;
            plx_run_info.stop(runInfo, 0);
            return ++run;
        }
    }

    /** After {@link #begin()}. */
    private void runToItsEnd(Duration limit) {
        RunStoppedException.Reason why;
        long status = 0;
        try {
            checkBound();
            forgetMaps();
            if (steering.isDue()) {
                reschedule();
            }
            interruption.enter();
            try {
                status = Native.run(pointer, runInfo);
            } finally {
                if (interruption.leave()) {
                    interruption = new Interruption(this::interrupted);
                }
            }
        } finally {
            synchronized (pointerLock) {
                running = false;
                why = stopped;
            }
        }
        if (status != 0) {
            dropOutputs();
            if (why != null) {
                Plx.plx_status_release(MemorySegment.ofAddress(status));
                throw new RunStoppedException(why, switch (why) {
                    case CANCELLED -> "the run was cancelled";
                    case TIME_LIMIT -> "the run was stopped at its limit of " + text(limit);
                    case INTERRUPTED -> "the run was stopped: its thread was interrupted";
                });
            }
            Native.check(MemorySegment.ofAddress(status));
        }
        long now = plx_run_info.outputs_generation(runInfo);
        if (now != generation || !hasOutputs) {
            generation = now;
            forgetViews();
            hasOutputs = true;
        } else {
            forgetCopies();
        }
    }

    // ---- requests -------------------------------------------------------------------------------------------------

    /**
     * Has a request run, and does not wait for it. Requests start in the order in which they come and end in that order, up
     * to {@link SessionOptions#depth()} of them at the same time, each in memory of its own; more wait. Together they have
     * no more of the CPU than this session alone, but for the rest of a unit when an older one is back from the device. A
     * fixed memory budget is divided among them; {@link #run()}, which knows nothing of requests and shares no memory with
     * them, has the whole of it.
     *
     * <p>What is done with the future without an executor of its own runs on the request's thread, and the next request
     * waits for it. Cancelling the future stops the request at its next operator.
     *
     * @param inputs a value for each of {@link #inputs()}, by name; their memory must stay open and as it is until the
     *     request has ended
     * @return a tensor for each of {@link #outputs()}, by name and in their order, with memory of its own; or what
     *     {@link #run()} throws; {@link IllegalStateException} if the session was closed before the request began
     * @throws ParallaxException INVALID_ARGUMENT for missing or unknown inputs; MEMORY_BUDGET if there is none for so many at
     *     a time
     * @throws IllegalStateException if this session is closed
     */
    public CompletableFuture<Map<String, Tensor>> submit(Map<String, ? extends Value> inputs) {
        return submit(inputs, Session::copies);
    }

    /**
     * As {@link #submit(Map)}, with something else than copies of all outputs as its result.
     *
     * @param inputs as above
     * @param read is given a session whose last run is this request, and may read its outputs, which are overwritten later,
     *     and its report; called on the request's thread
     * @param <R> what it gives
     * @return what {@code read} gives or throws; else as above
     */
    public <R> CompletableFuture<R> submit(Map<String, ? extends Value> inputs, Function<Session, R> read) {
        Objects.requireNonNull(read, "read");
        Names.checkGiven(model.inputs(), inputs);
        lock.lock();
        try {
            if (closing) {
                throw new IllegalStateException("this session is closed");
            }
            if (requests == null) {
                requests = new Requests(besides());
            }
            return requests.submit(Map.copyOf(inputs), read);
        } finally {
            lock.unlock();
        }
    }

    private List<Session> besides() {
        List<Session> made = new ArrayList<>();
        try (Arena call = Arena.ofConfined()) {
            MemorySegment out = call.allocate(ValueLayout.ADDRESS);
            long share = Math.ceilDiv(steering.state.memoryBudgetBytes(), depth);
            while (made.size() < depth) {
                Native.check(Plx.plx_session_create_beside(pointer, share, out));
                made.add(new Session(out.get(ValueLayout.ADDRESS, 0), model, plan, schedule,
                        new Steering(steering.policy, steering.state), memory, 1));
            }
            return made;
        } catch (RuntimeException | Error e) {
            made.forEach(Session::close);
            throw e;
        }
    }

    private Map<String, Tensor> copies() {
        Map<String, Tensor> copies = new LinkedHashMap<>();
        for (ValueInfo output : model.outputs()) {
            copies.put(output.name(), output(output.name()).copy());
        }
        return Collections.unmodifiableMap(copies);
    }

    private void interrupted() {
        synchronized (pointerLock) {  // the thread that is interrupted is in the run in progress
            stop(run, RunStoppedException.Reason.INTERRUPTED);
        }
    }

    /** Stops a run, whether it is in the core already or not; nothing if it is over. */
    private void stop(long number, RunStoppedException.Reason reason) {
        synchronized (pointerLock) {
            if (!running || number != run || pointer == null) {
                return;
            }
            if (stopped == null) {
                stopped = reason;
            }
            plx_run_info.stop(runInfo, 1);
            VarHandle.releaseFence();  // the core reads it when the run begins, from its own thread
            Plx.plx_session_cancel(pointer);
        }
    }

    /** Asks the policy anew if the machine has changed. A refusal leaves the former schedule, and fails the run. */
    private void reschedule() {
        DeviceState state = steering.look();
        if (state == null) {
            return;
        }
        Schedule next = Schedule.ask(steering.policy, plan, state);
        checkOpen();  // the policy is the user's code
        if (next.equals(schedule)) {
            return;
        }
        dropOutputs();
        try (Arena call = Arena.ofConfined()) {
            MemorySegment block = next.toBlock(call);
            Native.check(Plx.plx_session_set_schedule(pointer, block, block.byteSize()));
        }
        schedule = next;
    }

    /** When a policy is asked again: see {@link SchedulerPolicy#watchesDevice()}. */
    static final class Steering {
        private static final long INTERVAL_NS = 1_000_000_000;

        private final SchedulerPolicy policy;
        private final boolean watches;
        DeviceState state;  // which the present schedule was made for
        long looked = System.nanoTime();

        Steering(SchedulerPolicy policy, DeviceState state) {
            this.policy = policy;
            this.watches = Schedule.watchesDevice(policy);
            this.state = state;
        }

        private boolean isDue() {
            return watches && System.nanoTime() - looked >= INTERVAL_NS;
        }

        /** The machine's state if it has changed enough to matter, else null. */
        private DeviceState look() {
            DeviceState now = DeviceState.current(state.poolThreads(), state.memoryBudgetBytes());
            looked = System.nanoTime();
            if (!now.differsFrom(state)) {
                return null;
            }
            state = now;
            return now;
        }
    }

    private void checkBound() {
        if (memory != null) {
            memory.checkAlive();
        }
        for (Input input : inputs) {
            if (input.bound == null) {
                throw invalid("input " + input.info + " is not bound; "
                        + (input.info.isStatic() ? "call input(\"" + input.info.name() + "\") or bindInput before run"
                                : openShape(input.info)));
            }
            if (input.bound instanceof Tensor tensor && !tensor.isAlive()) {
                throw closedMemory("input", input.info);
            }
        }
        for (Output output : outputs) {
            if (output.bound != null && !output.bound.isAlive()) {
                throw closedMemory("output", output.info);
            }
        }
    }

    /** Strings and what is no tensor were copied when read; the next reader wants those of the last run. */
    private void forgetCopies() {
        for (Output output : outputs) {
            if (!(output.view instanceof Tensor tensor) || tensor.elementType() == ElementType.STRING) {
                output.view = null;
            }
        }
    }

    /**
     * Asks a run in progress to stop at the next unit or operator; it then fails with a {@link RunStoppedException}.
     * Does not wait, and does nothing when no run is in progress or the session is closed.
     */
    public void cancel() {
        synchronized (pointerLock) {
            stop(run, RunStoppedException.Reason.CANCELLED);
        }
    }

    /**
     * What ran where in the last run, and the memory it took.
     *
     * @return a value that does not follow later runs
     */
    public RunReport report() {
        lock.lock();
        try {
            checkOpen();
            try (Arena call = Arena.ofConfined()) {
                return Parsing.runReport(Native.text(call, text -> Plx.plx_session_report_json(pointer, text)));
            }
        } finally {
            lock.unlock();
        }
    }

    /**
     * What lies where in the session's memory at the shapes of the last run, and when.
     *
     * @return a value that does not follow later runs
     * @throws ParallaxException INVALID_ARGUMENT until there have been two runs at the same input shapes
     */
    public MemoryMap memoryMap() {
        lock.lock();
        try {
            checkOpen();
            try (Arena call = Arena.ofConfined()) {
                String json = Native.text(call, text -> Plx.plx_session_memory_json(pointer, text));
                return Parsing.memoryMap(json, plan, (address, bytes) -> {
                    if (address == 0 || bytes == 0) {
                        return MemorySegment.NULL;
                    }
                    if (mapArena == null) {
                        mapArena = Arena.ofShared();
                    }
                    return MemorySegment.ofAddress(address).reinterpret(bytes, mapArena, null).asReadOnly();
                });
            }
        } finally {
            lock.unlock();
        }
    }

    /** The block is about to be written, or to go. */
    private void forgetMaps() {
        Arena former = mapArena;
        mapArena = null;
        if (former != null) {
            former.close();
        }
    }

    /**
     * Gives the memory of the session's tensors and its units' temporaries back to the system, for a pause. The last
     * run's outputs are gone with it, copies apart; the next run takes what it needs anew, and is slower for it. Waits
     * for the run in progress.
     *
     * @return bytes given back
     */
    public long trim() {
        lock.lock();
        try {
            checkOpen();
            dropOutputs();
            try (Arena call = Arena.ofConfined()) {
                MemorySegment bytes = call.allocate(ValueLayout.JAVA_LONG);
                Native.check(Plx.plx_session_trim(pointer, bytes));
                return bytes.get(ValueLayout.JAVA_LONG, 0);
            }
        } finally {
            lock.unlock();
        }
    }

    /**
     * Waits for the run and the requests in progress and frees all memory of the session; idempotent. A run that is not to
     * be waited for is stopped by {@link #cancel()} first. Requests that have not begun fail.
     */
    @Override
    public void close() {
        Requests open;
        lock.lock();
        try {
            open = requests;
            requests = null;
            closing = true;
        } finally {
            lock.unlock();
        }
        if (open != null) {
            open.close();
        }
        lock.lock();
        try {
            if (pointer == null) {
                return;
            }
            dropOutputs();
            synchronized (pointerLock) {
                Plx.plx_session_release(pointer);
                pointer = null;
            }
            for (Input input : inputs) {
                input.bound = null;
                if (input.arena != null) {
                    input.arena.close();
                }
            }
            for (Output output : outputs) {
                output.bound = null;
            }
            arena.close();
            if (memory != null) {
                memory.release();
            }
        } finally {
            lock.unlock();
        }
    }

    @Override
    public String toString() {
        return "session of " + plan;
    }

    // ---- checks, before any call into the core --------------------------------------------------------------------

    private void checkOpen() {
        if (pointer == null) {
            throw new IllegalStateException("this session is closed");
        }
    }

    private static void checkTensor(ValueInfo info, String what) {
        if (info.kind() != ValueKind.TENSOR && info.kind() != ValueKind.UNKNOWN) {
            throw invalid(what + " " + info + " is no tensor; " + (what.equals("input")
                    ? "call bindInput(\"" + info.name() + "\", Value.sequence(...)), mapping(...) or none()"
                    : "it cannot be bound, read it with outputValue(\"" + info.name() + "\")"));
        }
    }

    private static void checkOwnable(ValueInfo info) {
        checkTensor(info, "input");
        if (info.elementType() == ElementType.STRING) {
            throw invalid("input " + info + " is of strings, which the session has no memory for; call bindInput(\""
                    + info.name() + "\", Tensor.ofStrings(...))");
        }
        if (info.elementType() == ElementType.UNDEFINED) {
            throw invalid("the model does not say which type input " + info + " has; call bindInput(\"" + info.name()
                    + "\", tensor) with a tensor of the right one");
        }
    }

    private static void checkType(String what, ValueInfo info, Tensor tensor) {
        if (info.elementType() != ElementType.UNDEFINED && info.elementType() != tensor.elementType()) {
            throw invalid(what + " " + info + " takes " + info.elementType() + ", but the tensor given is " + tensor);
        }
    }

    private static void checkShape(String what, ValueInfo info, long[] shape) {
        if (shape.length > MAX_RANK) {
            throw invalid("a shape of " + shape.length + " dimensions; at most " + MAX_RANK + " are possible");
        }
        Tensor.elementCount(shape);
        if (!info.accepts(shape)) {
            throw invalid("shape " + Tensor.shapeText(shape) + " does not fit " + what + " " + info + ": "
                    + (info.shape().size() != shape.length
                            ? "it has " + shape.length + " dimensions, not " + info.shape().size()
                            : "fixed sizes must be equal"));
        }
    }

    private static void checkAlive(String what, ValueInfo info, Tensor tensor) {
        if (!tensor.isAlive()) {
            throw closedMemory(what, info);
        }
    }

    private static IllegalStateException closedMemory(String what, ValueInfo info) {
        return new IllegalStateException("the memory of the tensor bound to " + what + " " + info
                + " is closed; its arena must stay open while it is bound");
    }

    private static String openShape(ValueInfo info) {
        String example = "input(\"" + info.name() + "\", sizes...) or bindInput(\"" + info.name() + "\", tensor)";
        if (info.shape() == null) {
            return "the model does not say how many dimensions input " + info + " has; call " + example;
        }
        String open = IntStream.range(0, info.shape().size()).filter(i -> info.shape().get(i).isOpen())
                .mapToObj(i -> i + " (" + info.shape().get(i) + ")").collect(Collectors.joining(", "));
        return "the model leaves dimension " + open + " of input " + info + " open; call " + example;
    }

    private static ParallaxException invalid(String message) {
        return new ParallaxException(ErrorCode.INVALID_ARGUMENT, message);
    }

    // ---- structs --------------------------------------------------------------------------------------------------

    /** The tensor as the core reads it, in memory that is used anew by the next call. */
    private MemorySegment describe(Tensor tensor) {
        writeDims(tensor.sizes());
        plx_tensor.data(descriptor, tensor.segment());
        plx_tensor.size_bytes(descriptor, tensor.byteSize());
        plx_tensor.dims(descriptor, dims);
        plx_tensor.rank(descriptor, tensor.sizes().length);
        plx_tensor.element_type(descriptor, tensor.elementType().code());
        plx_tensor.reserved(descriptor, 0);
        return descriptor;
    }

    private void writeDims(long[] shape) {
        for (int i = 0; i < shape.length; i++) {
            dims.setAtIndex(ValueLayout.JAVA_LONG, i, shape[i]);
        }
    }
}
