"""The sub-commands of the console command."""

import os

# a process of its own: Keras as the package needs it, whatever the user's file says
os.environ["KERAS_BACKEND"] = "tensorflow"
