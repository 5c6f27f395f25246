"""The sub-commands of the console command."""

import os

# a process of its own: Keras as the package needs it, whatever the user's file says;
# where no directory can be, Keras reads no file of settings and writes none
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["KERAS_HOME"] = os.path.join(os.devnull, "keras")
