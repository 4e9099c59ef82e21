package dev.parallax;

import java.util.List;
import java.util.stream.Collectors;

/** Inputs and outputs by name. */
final class Names {
    private Names() {}

    /** The index of a value by its name, without allocation; INVALID_ARGUMENT, listing the names there are. */
    static int find(List<ValueInfo> values, String name, String what) {
        for (int i = 0; i < values.size(); i++) {
            if (values.get(i).name().equals(name)) {
                return i;
            }
        }
        String known = values.stream().map(ValueInfo::name).collect(Collectors.joining(", "));
        throw new ParallaxException(ErrorCode.INVALID_ARGUMENT, "the model has no " + what + " named '" + name + "'"
                + (values.isEmpty() ? "; it has none at all" : "; its " + what + "s are: " + known));
    }
}
